import changes from './changes.mjs'
import closing from './closing.mjs'
import controls from './controls.mjs'
import folding from './folding.mjs'
import keys from './keys.mjs'
import live from './live.mjs'
import malformed from './malformed.mjs'
import order from './order.mjs'
import typed from './typed.mjs'
import values from './values.mjs'

/** Every case, in the order of the report. */
export const CASES = [changes, keys, values, controls, order, folding, malformed, live, closing, typed].flat()
