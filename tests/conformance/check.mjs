// Holds a run's report to the exact numbers of `left-out.mjs`.

import { readFile } from 'node:fs/promises'

import { LEFT_OUT, PASSED } from './left-out.mjs'

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
  const groupOf = (one) => one.ancestorTitles[0] ?? ''
  for (const { group, cases: expected } of LEFT_OUT) {
    const found = others.filter((one) => group.test(groupOf(one))).length
    if (found !== expected) faults.push(`${found} cases of ${group} were left out, not ${expected}`)
  }
  for (const one of others) {
    if (!LEFT_OUT.some(({ group }) => group.test(groupOf(one)))) faults.push(`did not run: ${one.fullName}`)
  }
  if (passed.length !== PASSED) faults.push(`${passed.length} cases passed, not ${PASSED}`)
  return { passed: passed.length, failed: failed.length, skipped: others.length, faults }
}
