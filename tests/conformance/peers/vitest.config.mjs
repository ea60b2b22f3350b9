export default {
  test: {
    include: ['peers/protocol.test.mjs'],
    testTimeout: 30_000,
    retry: 0,
  },
}
