// A TCP proxy that cuts connections at random places: whatever a client does, its bytes end in the middle of something.

import { connect, createServer } from 'node:net'

import { random } from './random.mjs'

/**
 * A proxy in front of `url`. Of each connection, some number of bytes that the server sends pass, `bytesMin` to `bytesMax`;
 * then both ends are cut, with a reset or an orderly end; of the first at least `firstMin`. `calm()` lets all bytes pass.
 */
export async function cuttingProxy(url, { seed, bytesMin = 1, bytesMax, firstMin = bytesMin }) {
  const next = random(seed)
  const { hostname, port } = new URL(url)
  const proxy = { cuts: 0, connections: 0 }
  let calm = false
  const server = createServer((client) => {
    proxy.connections++
    const upstream = connect(Number(port), hostname)
    const least = proxy.connections === 1 ? firstMin : bytesMin
    let left = least + Math.floor(next() * (bytesMax - least))
    const reset = next() < 0.5
    const end = () => {
      reset ? client.resetAndDestroy() : client.end()
      upstream.destroy()
    }
    upstream.on('data', (chunk) => {
      if (calm || chunk.length < left) {
        left -= chunk.length
        client.write(chunk)
        return
      }
      client.write(chunk.subarray(0, left))
      proxy.cuts++
      // Once they are on their way: a reset would take them back.
      setTimeout(end, 2)
      upstream.pause()
    })
    client.on('data', (chunk) => upstream.write(chunk))
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ]) {
      one.on('error', () => other.destroy())
      one.on('close', () => other.destroy())
    }
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return Object.assign(proxy, {
    url: `http://127.0.0.1:${server.address().port}`,
    calm: () => (calm = true),
    close: () => new Promise((resolve) => server.close(resolve)),
  })
}
