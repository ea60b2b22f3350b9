type Json = null | boolean | number | string | readonly Json[] | Members
type Members = { readonly [member: string]: Json }
type Draft = 4 | 6 | 7 | 2019 | 2020

/** What is wrong with a value, and where. */
export interface Issue {
  readonly message: string
  readonly path: ReadonlyArray<string | number>
}

/** A Standard Schema (https://standardschema.dev) whose answer is there at once. */
export interface Validator<T> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: 'keyfold'
    readonly validate: (value: unknown) => { readonly value: T; readonly issues?: undefined } | { readonly issues: ReadonlyArray<Issue> }
    readonly types?: { readonly input: T; readonly output: T } | undefined
  }
}

interface Place {
  readonly above: Place | undefined
  readonly step: string | number
}

/** A schema that references can be relative to: the whole, or a part with an identifier of its own. */
interface Resource {
  readonly uri: string
  readonly root: Json
  readonly anchors: Map<string, Json>
  readonly dynamic: Map<string, Json>
}

/** Resources that the evaluation has come through, the latest first. */
interface Scope {
  readonly resource: Resource
  readonly above: Scope | undefined
}

/** What a schema found: faults, and which members and items it has looked at. */
class Findings {
  readonly issues: Issue[] = []
  readonly members = new Set<string>()
  readonly items = new Set<number>()

  take(other: Findings): void {
    other.members.forEach((member) => this.members.add(member))
    other.items.forEach((item) => this.items.add(item))
  }
}

const ONE = ['additionalItems', 'additionalProperties', 'contains', 'contentSchema', 'else', 'if', 'items', 'not', 'propertyNames', 'then', 'unevaluatedItems', 'unevaluatedProperties']
const MANY = ['allOf', 'anyOf', 'items', 'oneOf', 'prefixItems']
const NAMED = ['$defs', 'definitions', 'dependencies', 'dependentSchemas', 'patternProperties', 'properties']
const BASE = 'json-schema:///'
const DEPTH_MAX = 512

const isArray = (value: unknown): value is readonly Json[] => Array.isArray(value)
const isMembers = (value: unknown): value is Members => typeof value === 'object' && value !== null && !Array.isArray(value)
const has = (members: Members, name: string): boolean => Object.prototype.hasOwnProperty.call(members, name) && members[name] !== undefined
const member = (members: Members, name: string): Json | undefined => (has(members, name) ? members[name] : undefined)
const names = (members: Members): string[] => Object.keys(members).filter((name) => members[name] !== undefined)
const length = (text: string): number => Array.from(text).length

function draftOf(dialect: Json | undefined, otherwise: Draft): Draft {
  const found = typeof dialect === 'string' ? /draft(?:-0|\/)(4|6|7|2019|2020)/.exec(dialect) : null
  return found === null ? otherwise : (Number(found[1]) as Draft)
}

function kindOf(value: Json): string {
  if (value === null) return 'null'
  if (isArray(value)) return 'array'
  return typeof value
}

function is(type: Json, value: Json): boolean {
  if (type === 'integer') return typeof value === 'number' && Number.isInteger(value)
  return type === kindOf(value)
}

/** Equality of JSON: members in any order, numbers by value. */
function equal(a: Json, b: Json): boolean {
  if (a === b) return true
  if (isArray(a)) return isArray(b) && a.length === b.length && a.every((item, index) => equal(item, b[index] as Json))
  if (!isMembers(a) || !isMembers(b)) return false
  const [left, right] = [names(a), names(b)]
  return left.length === right.length && left.every((name) => has(b, name) && equal(a[name] as Json, b[name] as Json))
}

/** Whether `value` is a multiple, counted in decimal digits as both are written. */
function isMultiple(value: number, of: number): boolean {
  const parts = (number: number): [bigint, number] => {
    const [digits = '0', exponent = '0'] = Math.abs(number).toExponential().split('e')
    const [whole = '0', fraction = ''] = digits.split('.')
    return [BigInt(whole + fraction), Number(exponent) - fraction.length]
  }
  const [[a, ea], [b, eb]] = [parts(value), parts(of)]
  const least = Math.min(ea, eb)
  const scaled = (digits: bigint, exponent: number) => digits * BigInt(10) ** BigInt(exponent - least)
  return scaled(a, ea) % scaled(b, eb) === BigInt(0)
}

const expressions = new Map<string, RegExp>()

function expression(pattern: string): RegExp {
  let found = expressions.get(pattern)
  if (found === undefined) {
    try {
      found = new RegExp(pattern, 'u')
    } catch {
      found = new RegExp(pattern)
    }
    expressions.set(pattern, found)
  }
  return found
}

/** The first thing in a value that JSON cannot say. */
function notJson(value: unknown, path: ReadonlyArray<string | number>): Issue | undefined {
  if (path.length > DEPTH_MAX) return { message: `nests deeper than ${DEPTH_MAX} levels`, path }
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return undefined
  if (typeof value === 'number' && Number.isFinite(value)) return undefined
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) {
      const issue = notJson(value[index], [...path, index])
      if (issue !== undefined) return issue
    }
    return undefined
  }
  if (typeof value !== 'object' || typeof (value as { toJSON?: unknown }).toJSON === 'function') {
    return { message: 'is not a JSON value', path }
  }
  for (const [name, inner] of Object.entries(value)) {
    const issue = inner === undefined ? undefined : notJson(inner, [...path, name])
    if (issue !== undefined) return issue
  }
  return undefined
}

/** A JSON Schema with its references found. */
class Schema {
  readonly #resources = new Map<string, Resource>()
  readonly #owners = new Map<Json, Resource>()
  readonly #drafts = new Map<Json, Draft>()
  readonly #root: Json
  /** Schemas being applied by a reference, and where: one that comes back to its place has nothing new to say there. */
  readonly #open = new Map<Json, Set<Place | undefined>>()

  constructor(root: Json) {
    this.#root = root
    const resource: Resource = { uri: BASE, root, anchors: new Map(), dynamic: new Map() }
    this.#resources.set(BASE, resource)
    this.#index(root, resource, 2020)
  }

  validate(value: Json): Issue[] {
    const findings = new Findings()
    const resource = this.#owners.get(this.#root) ?? { uri: BASE, root: this.#root, anchors: new Map(), dynamic: new Map() }
    this.#apply(this.#root, value, undefined, { resource, above: undefined }, findings)
    return findings.issues
  }

  /** Finds identifiers and anchors, and which resource each schema belongs to. */
  #index(node: Json, outer: Resource, draftOutside: Draft): void {
    if (!isMembers(node) || this.#owners.has(node)) return
    const draft = draftOf(member(node, '$schema'), draftOutside)
    this.#drafts.set(node, draft)
    let resource = outer
    const old = draft <= 7
    const alone = old && has(node, '$ref')
    const id = alone ? undefined : member(node, draft === 4 ? 'id' : '$id')
    if (typeof id === 'string') {
      const [uri = '', fragment = ''] = id.split('#')
      if (uri !== '') {
        resource = { uri: absolute(uri, outer.uri), root: node, anchors: new Map(), dynamic: new Map() }
        this.#resources.set(resource.uri, resource)
      }
      if (old && fragment !== '') resource.anchors.set(fragment, node)
    }
    this.#owners.set(node, resource)
    const anchor = old ? undefined : member(node, '$anchor')
    if (typeof anchor === 'string') resource.anchors.set(anchor, node)
    const dynamic = draft === 2020 ? member(node, '$dynamicAnchor') : undefined
    if (typeof dynamic === 'string') {
      resource.anchors.set(dynamic, node)
      resource.dynamic.set(dynamic, node)
    }
    for (const name of names(node)) {
      const inner = node[name] as Json
      if (isMembers(inner)) {
        if (ONE.includes(name)) this.#index(inner, resource, draft)
        if (NAMED.includes(name)) Object.values(inner).forEach((schema) => this.#index(schema, resource, draft))
      } else if (isArray(inner) && MANY.includes(name)) {
        inner.forEach((schema) => this.#index(schema, resource, draft))
      }
    }
  }

  /** The schema that a reference leads to, and the resource it is in. */
  #resolve(reference: string, from: Resource): [Json, Resource] {
    const at = reference.indexOf('#')
    const [uri, fragment] = at < 0 ? [reference, ''] : [reference.slice(0, at), decodeURIComponent(reference.slice(at + 1))]
    const resource = uri === '' ? from : this.#resources.get(absolute(uri, from.uri))
    if (resource === undefined) throw new Error(`${reference} leads out of the schema`)
    if (fragment === '') return [resource.root, resource]
    if (!fragment.startsWith('/')) {
      const found = resource.anchors.get(fragment)
      if (found === undefined) throw new Error(`${reference} leads to nothing`)
      return [found, this.#owners.get(found) ?? resource]
    }
    let [node, owner]: [Json, Resource] = [resource.root, resource]
    for (const step of fragment.slice(1).split('/')) {
      const name = step.replace(/~1/g, '/').replace(/~0/g, '~')
      const next: Json | undefined = isArray(node) ? node[Number(name)] : isMembers(node) ? member(node, name) : undefined
      if (next === undefined) throw new Error(`${reference} leads to nothing`)
      node = next
      owner = this.#owners.get(node) ?? owner
    }
    this.#index(node, owner, this.#drafts.get(owner.root) ?? 2020)
    return [node, this.#owners.get(node) ?? owner]
  }

  #apply(node: Json, value: Json, at: Place | undefined, outside: Scope, found: Findings): void {
    const fail = (message: string, step?: string | number) => {
      const path: Array<string | number> = step === undefined ? [] : [step]
      for (let place = at; place !== undefined; place = place.above) path.unshift(place.step)
      found.issues.push({ message, path })
    }
    if (node === false) return fail('is not allowed')
    if (!isMembers(node)) return
    const draft = this.#drafts.get(node) ?? 2020
    const resource = this.#owners.get(node) ?? outside.resource
    const scope: Scope = resource === outside.resource ? outside : { resource, above: outside }
    const get = (name: string) => member(node, name)

    /** Applies a schema to the same value: what it has looked at counts as looked at here. */
    const inPlace = (schema: Json, within: Scope = scope): Findings => {
      const inner = new Findings()
      this.#apply(schema, value, at, within, inner)
      return inner
    }
    const must = (inner: Findings) => {
      found.issues.push(...inner.issues)
      if (inner.issues.length === 0) found.take(inner)
    }
    const below = (schema: Json, inner: Json, step: string | number): boolean => {
      const findings = new Findings()
      this.#apply(schema, inner, { above: at, step }, scope, findings)
      found.issues.push(...findings.issues)
      return findings.issues.length === 0
    }
    const passes = (schema: Json, inner: Json, step: string | number): boolean => {
      const findings = new Findings()
      this.#apply(schema, inner, { above: at, step }, scope, findings)
      return findings.issues.length === 0
    }
    const follow = ([target, owner]: [Json, Resource]) => {
      const places = this.#open.get(target) ?? new Set()
      if (isMembers(target) && places.has(at)) return
      this.#open.set(target, places.add(at))
      try {
        must(inPlace(target, owner === scope.resource ? scope : { resource: owner, above: scope }))
      } finally {
        places.delete(at)
      }
    }

    const reference = get('$ref')
    if (typeof reference === 'string') {
      follow(this.#resolve(reference, resource))
      if (draft <= 7) return
    }
    const dynamic = draft === 2020 ? get('$dynamicRef') : undefined
    if (typeof dynamic === 'string') follow(this.#dynamic(dynamic, scope))
    if (draft === 2019 && get('$recursiveRef') === '#') follow(this.#recursive(scope))

    const type = get('type')
    if (type !== undefined) {
      const types = isArray(type) ? type : [type]
      if (!types.some((one) => is(one, value))) fail(`is not of type ${types.join(' or ')}`)
    }
    const options = get('enum')
    if (isArray(options) && !options.some((option) => equal(option, value))) {
      fail(`is none of ${options.map((option) => JSON.stringify(option)).join(', ')}`)
    }
    const constant = get('const')
    if (draft > 4 && constant !== undefined && !equal(constant, value)) fail(`is not ${JSON.stringify(constant)}`)

    if (typeof value === 'number') this.#number(value, draft, get, fail)
    if (typeof value === 'string') this.#string(value, draft, get, fail)

    for (const schema of asArray(get('allOf'))) must(inPlace(schema))
    const any = get('anyOf')
    if (isArray(any)) {
      const passed = any.map((schema) => inPlace(schema)).filter((inner) => inner.issues.length === 0)
      passed.forEach((inner) => found.take(inner))
      if (passed.length === 0) fail('satisfies none of the alternatives')
    }
    const one = get('oneOf')
    if (isArray(one)) {
      const passed = one.map((schema) => inPlace(schema)).filter((inner) => inner.issues.length === 0)
      passed.forEach((inner) => found.take(inner))
      if (passed.length !== 1) fail(`satisfies ${passed.length === 0 ? 'none' : 'more than one'} of the alternatives`)
    }
    const not = get('not')
    if (not !== undefined && inPlace(not).issues.length === 0) fail('is what it must not be')
    const condition = draft >= 7 ? get('if') : undefined
    if (condition !== undefined) {
      const inner = inPlace(condition)
      if (inner.issues.length === 0) found.take(inner)
      const branch = get(inner.issues.length === 0 ? 'then' : 'else')
      if (branch !== undefined) must(inPlace(branch))
    }

    if (isArray(value)) this.#array(value, draft, get, fail, below, passes, found)
    if (isMembers(value)) this.#object(value, draft, get, fail, below, passes, (schema) => must(inPlace(schema)), found)
  }

  #dynamic(reference: string, scope: Scope): [Json, Resource] {
    const first = this.#resolve(reference, scope.resource)
    const name = reference.slice(reference.indexOf('#') + 1)
    let found = first
    if (first[1].dynamic.get(name) !== first[0]) return first
    for (let outer: Scope | undefined = scope; outer !== undefined; outer = outer.above) {
      const target = outer.resource.dynamic.get(name)
      if (target !== undefined) found = [target, outer.resource]
    }
    return found
  }

  #recursive(scope: Scope): [Json, Resource] {
    const recursive = (resource: Resource) => isMembers(resource.root) && resource.root['$recursiveAnchor'] === true
    let found = scope.resource
    for (let outer: Scope | undefined = scope; outer !== undefined && recursive(outer.resource); outer = outer.above) {
      found = outer.resource
    }
    return [found.root, found]
  }

  #number(value: number, draft: Draft, get: Get, fail: Fail): void {
    const [least, most, above, under] = [get('minimum'), get('maximum'), get('exclusiveMinimum'), get('exclusiveMaximum')]
    if (typeof least === 'number' && (value < least || (draft === 4 && above === true && value === least))) fail(`is less than ${least}`)
    if (typeof most === 'number' && (value > most || (draft === 4 && under === true && value === most))) fail(`is more than ${most}`)
    if (typeof above === 'number' && value <= above) fail(`is not more than ${above}`)
    if (typeof under === 'number' && value >= under) fail(`is not less than ${under}`)
    const factor = get('multipleOf')
    if (typeof factor === 'number' && !isMultiple(value, factor)) fail(`is not a multiple of ${factor}`)
  }

  #string(value: string, draft: Draft, get: Get, fail: Fail): void {
    const [least, most, pattern, format] = [get('minLength'), get('maxLength'), get('pattern'), get('format')]
    if (typeof least === 'number' && length(value) < least) fail(`is shorter than ${least} characters`)
    if (typeof most === 'number' && length(value) > most) fail(`is longer than ${most} characters`)
    if (typeof pattern === 'string' && !expression(pattern).test(value)) fail(`does not match ${pattern}`)
    if (typeof format === 'string' && !isFormat(format, value, draft)) fail(`is no ${format}`)
    if (draft === 6 || draft === 7) this.#content(value, get, fail)
  }

  /** Content is checked where the drafts say so; later ones only describe it. */
  #content(value: string, get: Get, fail: Fail): void {
    const [encoding, type] = [get('contentEncoding'), get('contentMediaType')]
    const form = typeof encoding === 'string' && Object.prototype.hasOwnProperty.call(ENCODINGS, encoding) ? ENCODINGS[encoding] : undefined
    if (form !== undefined && !form.test(value)) return fail(`is not encoded as ${encoding}`)
    if (type !== 'application/json' || (encoding !== undefined && form === undefined)) return
    try {
      const bytes = form === undefined ? undefined : atob(value.replace(/-/g, '+').replace(/_/g, '/'))
      JSON.parse(bytes === undefined ? value : new TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.from(bytes, (byte) => byte.charCodeAt(0))))
    } catch {
      fail('is not application/json')
    }
  }

  #array(value: readonly Json[], draft: Draft, get: Get, fail: Fail, below: Below, passes: Passes, found: Findings): void {
    const [least, most] = [get('minItems'), get('maxItems')]
    if (typeof least === 'number' && value.length < least) fail(`has fewer than ${least} items`)
    if (typeof most === 'number' && value.length > most) fail(`has more than ${most} items`)
    if (get('uniqueItems') === true && value.some((item, index) => value.slice(0, index).some((other) => equal(item, other)))) {
      fail('has an item twice')
    }
    const items = get('items')
    const prefix = asArray(draft === 2020 ? get('prefixItems') : items)
    const rest = draft === 2020 ? items : isArray(items) ? get('additionalItems') : items
    value.forEach((item, index) => {
      const schema = index < prefix.length ? prefix[index] : rest
      if (schema === undefined || isArray(schema)) return
      below(schema, item, index)
      found.items.add(index)
    })
    const contains = draft > 4 ? get('contains') : undefined
    if (contains !== undefined) {
      let count = 0
      value.forEach((item, index) => {
        if (!passes(contains, item, index)) return
        count += 1
        if (draft === 2020) found.items.add(index)
      })
      const [fewest, greatest] = draft >= 2019 ? [get('minContains'), get('maxContains')] : [undefined, undefined]
      if (count < (typeof fewest === 'number' ? fewest : 1)) fail('has too few of the items that it must contain')
      if (typeof greatest === 'number' && count > greatest) fail('has too many of the items that it may contain')
    }
    const others = draft >= 2019 ? get('unevaluatedItems') : undefined
    if (others === undefined) return
    value.forEach((item, index) => {
      if (found.items.has(index)) return
      below(others, item, index)
      found.items.add(index)
    })
  }

  #object(value: Members, draft: Draft, get: Get, fail: Fail, below: Below, passes: Passes, apply: Apply, found: Findings): void {
    const present = names(value)
    const [least, most, required] = [get('minProperties'), get('maxProperties'), get('required')]
    if (typeof least === 'number' && present.length < least) fail(`has fewer than ${least} members`)
    if (typeof most === 'number' && present.length > most) fail(`has more than ${most} members`)
    const need = (members: readonly Json[]) => {
      for (const name of members) if (!has(value, String(name))) fail(`has no member ${JSON.stringify(name)}`)
    }
    need(asArray(required))
    const properties = asMembers(get('properties'))
    const patterns = Object.entries(asMembers(get('patternProperties')))
    const additional = get('additionalProperties')
    const naming = draft > 4 ? get('propertyNames') : undefined
    for (const name of present) {
      const inner = value[name] as Json
      let known = false
      const look = (schema: Json) => {
        known = true
        below(schema, inner, name)
        found.members.add(name)
      }
      if (has(properties, name)) look(properties[name] as Json)
      for (const [pattern, schema] of patterns) if (expression(pattern).test(name)) look(schema)
      if (!known && additional !== undefined) look(additional)
      if (naming !== undefined && !passes(naming, name, name)) fail('has a name that is not allowed', name)
    }
    for (const [name, dependency] of Object.entries(asMembers(get('dependencies')))) {
      if (!has(value, name)) continue
      if (isArray(dependency)) need(dependency)
      else apply(dependency)
    }
    if (draft >= 2019) {
      for (const [name, members] of Object.entries(asMembers(get('dependentRequired')))) if (has(value, name)) need(asArray(members))
      for (const [name, schema] of Object.entries(asMembers(get('dependentSchemas')))) if (has(value, name)) apply(schema)
    }
    const others = draft >= 2019 ? get('unevaluatedProperties') : undefined
    if (others === undefined) return
    for (const name of present) {
      if (found.members.has(name)) continue
      below(others, value[name] as Json, name)
      found.members.add(name)
    }
  }
}

type Get = (keyword: string) => Json | undefined
type Fail = (message: string, step?: string | number) => void
type Below = (schema: Json, inner: Json, step: string | number) => boolean
type Passes = (schema: Json, inner: Json, step: string | number) => boolean
type Apply = (schema: Json) => void

const asArray = (value: Json | undefined): readonly Json[] => (isArray(value) ? value : [])
const asMembers = (value: Json | undefined): Members => (isMembers(value) ? value : {})

function absolute(uri: string, base: string): string {
  return new URL(uri, base).href.replace(/#$/, '')
}

const inRange = (text: string | undefined, most: number): boolean => Number(text) <= most

function isDate(text: string): boolean {
  const found = /^(\d{4})-(\d{2})-(\d{2})$/.exec(text)
  if (found === null) return false
  const [year, month, day] = [Number(found[1]), Number(found[2]), Number(found[3])]
  const leap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)
  const days = [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]
  return days !== undefined && day >= 1 && day <= days
}

function isTime(text: string): boolean {
  const found = /^(\d{2}):(\d{2}):(\d{2})(?:\.\d+)?(?:[Zz]|([+-])(\d{2}):(\d{2}))$/.exec(text)
  if (found === null) return false
  const [, hour, minute, second, sign, hours = '0', minutes = '0'] = found
  if (!inRange(hour, 23) || !inRange(minute, 59) || !inRange(hours, 23) || !inRange(minutes, 59)) return false
  if (inRange(second, 59)) return true
  // A leap second is the last one of a day of UTC.
  const shift = (Number(hours) * 60 + Number(minutes)) * (sign === '-' ? 1 : -1)
  return second === '60' && (Number(hour) * 60 + Number(minute) + shift + 2880) % 1440 === 1439
}

const isIpv4 = (text: string): boolean => /^(?:(?:0|[1-9]\d{0,2})(?:\.(?!$)|$)){4}$/.test(text) && text.split('.').every((part) => inRange(part, 255))

function isIpv6(text: string): boolean {
  const halves = text.split('::')
  if (halves.length > 2) return false
  const groups = halves.flatMap((half) => (half === '' ? [] : half.split(':')))
  let count = groups.length
  const last = groups[groups.length - 1]
  if (last !== undefined && last.includes('.') && !text.endsWith('::')) {
    if (!isIpv4(last)) return false
    groups.pop()
    count += 1
  }
  return groups.every((group) => /^[\da-fA-F]{1,4}$/.test(group)) && (halves.length === 2 ? count < 8 : count === 8)
}

/** Labels that begin with `xn--` are checked by their form only. */
const isHostname = (text: string): boolean =>
  text.length <= 253 && /^(?!-)[\dA-Za-z-]{1,63}(?<!-)(?:\.(?!-)[\dA-Za-z-]{1,63}(?<!-))*$/.test(text)

function isEmail(text: string): boolean {
  const at = text.lastIndexOf('@')
  const [local, domain] = [text.slice(0, at), text.slice(at + 1)]
  if (at < 1) return false
  const quoted = /^"(?:[^"\\\p{Cc}]|\\[^\p{Cc}])*"$/u
  const atoms = /^[^\s"(),.:;<>@[\\\]\p{Cc}]+(?:\.[^\s"(),.:;<>@[\\\]\p{Cc}]+)*$/u
  if (!(quoted.test(local) || (atoms.test(local) && /^[\x21-\x7e]*$/.test(local)))) return false
  if (!domain.startsWith('[')) return isHostname(domain)
  const address = domain.slice(1, -1)
  return domain.endsWith(']') && (address.startsWith('IPv6:') ? isIpv6(address.slice(5)) : isIpv4(address))
}

/** `other` is what an IRI has beyond a URI; empty for URIs. */
function isUriReference(text: string, absoluteOnly: boolean, other: string): boolean {
  const found = /^(?:([A-Za-z][\dA-Za-z+.-]*):)?(?:\/\/([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#([^]*))?$/u.exec(text)
  if (found === null) return false
  const [, scheme, authority, path = '', query = '', fragment = ''] = found
  if (absoluteOnly && scheme === undefined) return false
  const of = (extra: string) => new RegExp(`^(?:[\\w.~!$&'()*+,;=${extra}${other}-]|%[\\da-fA-F]{2})*$`, 'u')
  if (!of(':@/').test(path) || !of(`:@/?${other === '' ? '' : PRIVATE}`).test(query) || !of(':@/?').test(fragment)) return false
  if (scheme === undefined && authority === undefined && /^[^/]*:/.test(path)) return false
  if (authority === undefined) return !path.startsWith('//')
  const parts = /^(?:([^@]*)@)?(\[[^\]]*\]|[^:[\]]*)(?::(\d*))?$/.exec(authority)
  if (parts === null || !of(':').test(parts[1] ?? '')) return false
  const host = parts[2] ?? ''
  if (!host.startsWith('[')) return of('').test(host)
  const address = host.slice(1, -1)
  return isIpv6(address) || /^[vV][\da-fA-F]+\.[\w.~!$&'()*+,;=:-]+$/.test(address)
}

function isExpression(text: string): boolean {
  try {
    new RegExp(text, 'u')
    return true
  } catch {
    return false
  }
}

const ENCODINGS: { readonly [name: string]: RegExp } = {
  base64: /^(?:[\dA-Za-z+/]{4})*(?:[\dA-Za-z+/]{2}==|[\dA-Za-z+/]{3}=)?$/,
  base64url: /^(?:[\dA-Za-z_-]{4})*(?:[\dA-Za-z_-]{2}(?:==)?|[\dA-Za-z_-]{3}=?)?$/,
}

/** What an IRI has beyond a URI, as the inside of a character class. */
const UCS = '\\u{a0}-\\u{d7ff}\\u{f900}-\\u{fdcf}\\u{fdf0}-\\u{ffef}\\u{10000}-\\u{dffff}\\u{e1000}-\\u{efffd}'
const PRIVATE = '\\u{e000}-\\u{f8ff}\\u{f0000}-\\u{10fffd}'

const TEMPLATE = new RegExp(
  `^(?:[!#$&'()*+,./:;=?@\\[\\]_~\\w${UCS}${PRIVATE}-]|%[\\da-fA-F]{2}|\\{[+#./;?&=,!@|]?(?:VAR)(?:,(?:VAR))*\\})*$`.replace(
    /VAR/g,
    '(?:\\w|%[\\da-fA-F]{2})+(?:\\.(?:\\w|%[\\da-fA-F]{2})+)*(?::[1-9]\\d{0,3}|\\*)?',
  ),
  'u',
)

const DURATION = /^P(?!$)(?:\d+W|(?:\d+Y(?:\d+M(?:\d+D)?)?|\d+M(?:\d+D)?|\d+D)?(?:T(?=\d)(?:\d+H(?:\d+M(?:\d+S)?)?|\d+M(?:\d+S)?|\d+S)?)?)$/
const POINTER = /^(?:\/(?:[^/~]|~[01])*)*$/

/** Formats, and the first draft in which they are checked. */
const FORMATS: { readonly [name: string]: readonly [Draft, (text: string) => boolean] } = {
  'date-time': [4, (text) => /[Tt]/.test(text[10] ?? '') && isDate(text.slice(0, 10)) && isTime(text.slice(11))],
  email: [4, isEmail],
  hostname: [4, isHostname],
  ipv4: [4, isIpv4],
  ipv6: [4, isIpv6],
  date: [4, isDate],
  time: [4, isTime],
  regex: [4, isExpression],
  uri: [4, (text) => isUriReference(text, true, '')],
  'uri-reference': [6, (text) => isUriReference(text, false, '')],
  'uri-template': [6, (text) => TEMPLATE.test(text)],
  iri: [7, (text) => isUriReference(text, true, UCS)],
  'iri-reference': [7, (text) => isUriReference(text, false, UCS)],
  'json-pointer': [6, (text) => POINTER.test(text)],
  'relative-json-pointer': [7, (text) => /^(?:0|[1-9]\d*)(?:#$|(?=\/|$))/.test(text) && POINTER.test(text.replace(/^\d+#?/, ''))],
  duration: [2019, (text) => DURATION.test(text)],
  uuid: [2019, (text) => /^[\da-fA-F]{8}(?:-[\da-fA-F]{4}){3}-[\da-fA-F]{12}$/.test(text)],
}

function isFormat(format: string, text: string, draft: Draft): boolean {
  const known = Object.prototype.hasOwnProperty.call(FORMATS, format) ? FORMATS[format] : undefined
  return known === undefined || draft < known[0] || known[1](text)
}

/** A Standard Schema of values that satisfy a JSON Schema. */
function validator<T>(source: Json): Validator<T> {
  const schema = new Schema(source)
  const validate = (value: unknown) => {
    const issue = notJson(value, [])
    const issues = issue === undefined ? schema.validate(value as Json) : [issue]
    // A member `issues` means refused to some readers, whatever it holds.
    return issues.length === 0 ? { value: value as T } : { issues }
  }
  return { '~standard': { version: 1, vendor: 'keyfold', validate } }
}
