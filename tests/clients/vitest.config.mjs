export default {
  test: {
    include: ['*.test.mjs'],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // Each file has a server of its own.
    maxWorkers: 2,
    // A case that only passes at the second try has not passed.
    retry: 0,
  },
}
