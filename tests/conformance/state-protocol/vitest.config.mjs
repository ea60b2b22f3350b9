export default {
  test: {
    include: ['self/*.test.mjs'],
    testTimeout: 120_000,
    hookTimeout: 30_000,
    retry: 0,
  },
}
