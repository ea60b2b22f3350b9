export default {
  test: {
    include: ['protocol.test.mjs'],
    testTimeout: 30_000,
    // A case that only passes at the second try has not passed.
    retry: 0,
  },
}
