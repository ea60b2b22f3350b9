// Values that the published documents accept, made from a number.

const pad = (number) => String(number).padStart(12, '0')

/** A UUID that names execution `number`. */
export const executionId = (number) => `00000000-0000-4000-8000-${pad(number)}`

export const execution = (number, members = {}) => ({
  id: executionId(number),
  jobId: `job-${number % 3}`,
  status: 'running',
  attempt: 0,
  triggeredAt: '2026-01-02T03:04:05Z',
  ...members,
})

export const job = (number, members = {}) => ({ id: `job-${number}`, name: `Job ${number}`, enabled: true, ...members })

export const saga = (id, version, status, members = {}) => ({
  instanceId: id,
  sagaId: 'checkout',
  correlationKey: id.split(':').at(-1),
  status,
  state: { step: version },
  version,
  messageCount: version,
  startedAt: '2026-01-02T03:04:05Z',
  updatedAt: `2026-01-02T03:04:0${version}Z`,
  ...members,
})

export const session = (id, members = {}) => ({
  sessionId: id,
  cwd: '/home/someone/project',
  originalPrompt: 'Make the tests pass',
  goal: '',
  summary: '',
  lastActivityAt: '2026-01-02T03:04:05Z',
  gitBranch: 'main',
  gitRepoUrl: null,
  gitRepoId: null,
  status: 'working',
  source: 'claude',
  messageCount: 1,
  hasPendingToolUse: false,
  pendingTool: null,
  recentOutput: [{ role: 'user', content: 'Grüße, 世界 🦀' }],
  pr: null,
  ...members,
})

export const triggerEvent = (id, members = {}) => ({
  eventId: id,
  triggerId: 'nightly',
  kind: 'scheduled',
  status: 'pending',
  detectedAt: '2026-01-02T03:04:05Z',
  updatedAt: '2026-01-02T03:04:05Z',
  ...members,
})

export const authSession = (id, members = {}) => ({
  id,
  userId: 'user-1',
  state: 'active',
  subject: 'user-1@example.org',
  scopes: ['read'],
  roles: [],
  issuedAt: '2026-01-02T03:04:05Z',
  expiresAt: '2026-02-02T03:04:05Z',
  ...members,
})
