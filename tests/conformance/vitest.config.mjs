import { NAMES_RUN } from './left-out.mjs'

export default {
  test: {
    include: ['protocol.test.mjs'],
    testNamePattern: NAMES_RUN,
    testTimeout: 30_000,
    // A case that only passes at the second try has not passed.
    retry: 0,
  },
}
