// Holds a run of the public suite to all of its cases: the suite hides those that it was not asked for.

import { readFile } from 'node:fs/promises'

/** Cases of the suite, subscriptions included. */
const CASES = 338

/** Counts a vitest JSON report; `faults` says what is not as it must be. */
export async function check(reportFile) {
  const report = JSON.parse(await readFile(reportFile, 'utf8'))
  const cases = report.testResults.flatMap((file) => file.assertionResults)
  const passed = cases.filter(({ status }) => status === 'passed')
  const failed = cases.filter(({ status }) => status === 'failed')
  const others = cases.filter(({ status }) => status !== 'passed' && status !== 'failed')
  const faults = failed.map((one) => `failed: ${one.fullName}\n    ${one.failureMessages[0]?.split('\n')[0] ?? ''}`)
  for (const file of report.testResults) {
    if (file.status === 'failed' && failed.length === 0) faults.push(`the suite itself failed: ${file.message}`)
  }
  for (const one of others) faults.push(`did not run: ${one.fullName}`)
  if (passed.length !== CASES) faults.push(`${passed.length} cases passed, not ${CASES}`)
  return { passed: passed.length, failed: failed.length, skipped: others.length, faults }
}
