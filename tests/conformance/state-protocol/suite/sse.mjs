// Server-sent events, parsed as the HTML standard says: lines end with LF, CR or CRLF.

/** The events of a body: `{event, data}`. Ends where the body ends; what is not ended by an empty line is dropped. */
export async function* events(body) {
  const decoder = new TextDecoder()
  let rest = ''
  let fields = { event: '', data: [] }
  for await (const chunk of body) {
    rest += decoder.decode(chunk, { stream: true })
    // A CR at the end may be the first half of a CRLF.
    const lines = rest.split(/\r\n|\n|\r(?!$)/)
    rest = lines.pop()
    for (const line of lines) {
      if (line === '') {
        if (fields.data.length > 0) yield { event: fields.event || 'message', data: fields.data.join('\n') }
        fields = { event: '', data: [] }
        continue
      }
      const [, name, value] = /^([^:]*):? ?(.*)$/su.exec(line)
      if (name === 'data') fields.data.push(value)
      if (name === 'event') fields.event = value
    }
  }
}
