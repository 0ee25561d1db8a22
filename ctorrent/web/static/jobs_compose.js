// A job file from the fields of a form, and which field an error of the node is about. Text in, text out.

export const PROGRAM = 'work.py'

export class Fault extends Error {
  constructor(field, message) {
    super(message)
    this.field = field
  }
}

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i

// What a person types as one value: a number, true or false, JSON, or else a text.
export function scalar(text) {
  const plain = text.trim()
  if (NUMBER.test(plain)) return {raw: plain.replace(/^\+/, '').replace(/^(-?)\./, '$10.').replace(/\.(e|$)/i, '.0$1')}
  if (/^(true|false|null)$/.test(plain)) return JSON.parse(plain)
  if (/^["[{]/.test(plain)) {
    try { return JSON.parse(plain) } catch { /* then it is a text */ }
  }
  return plain
}

// JSON is YAML; numbers stay as they were typed.
function flow(value) {
  if (value && typeof value === 'object' && 'raw' in value) return value.raw
  if (Array.isArray(value)) return `[${value.map(flow).join(', ')}]`
  if (value && typeof value === 'object') return `{${Object.entries(value).map(([name, one]) => `${key(name)}: ${flow(one)}`).join(', ')}}`
  return JSON.stringify(value)
}

const key = (name) => (/^[A-Za-z_][\w-]*$/.test(name) && !/^(true|false|null|yes|no|on|off|y|n)$/i.test(name) ? name : JSON.stringify(name))

// "points: 1000" a line -> [[name, rest, line number], …]
function pairs(text, field) {
  return text.split('\n').map((line, n) => [line.replace(/\s+#.*$/, '').trim(), n + 1]).filter(([line]) => line && !line.startsWith('#')).map(([line, n]) => {
    const found = line.match(/^([^:=]+?)\s*[:=]\s*(.+)$/)
    if (!found) throw new Fault(field, `Line ${n}: write NAME: VALUE, such as points: 1000. “${line.slice(0, 60)}” has no colon.`)
    return [found[1].trim(), found[2], n]
  })
}

// commas outside of brackets and quotes
function split(text) {
  const found = ['']
  let depth = 0, quoted = ''
  for (const letter of text) {
    if (quoted) quoted = letter === quoted ? '' : quoted
    else if (letter === '"' || letter === "'") quoted = letter
    else if ('[{('.includes(letter)) depth++
    else if (']})'.includes(letter)) depth--
    if (letter === ',' && depth === 0 && !quoted) found.push('')
    else found[found.length - 1] += letter
  }
  return found.map((part) => part.trim()).filter(Boolean)
}

function axis(text) {
  const range = text.match(/^(\S+)\s+to\s+(\S+)\s+in\s+(\d+)(?:\s+steps)?(\s+log)?$/)
  if (range) return {from: scalar(range[1]), to: scalar(range[2]), steps: {raw: range[3]}, ...(range[4] ? {log: true} : {})}
  const whole = scalar(text)
  if (Array.isArray(whole)) return whole
  return split(text).map(scalar)
}

function blocks(form) {
  let found
  if (form.kind === 'count') {
    if (!/^\d+$/.test(form.count.trim()) || Number(form.count) < 1) throw new Fault('count', 'How many blocks? A whole number from 1 up.')
    found = {count: {raw: form.count.trim()}}
  } else if (form.kind === 'grid') {
    const axes = pairs(form.grid, 'grid')
    if (!axes.length) throw new Fault('grid', 'One parameter a line, such as C: 0.1, 1, 10.')
    found = {grid: Object.fromEntries(axes.map(([name, text]) => [name, axis(text)]))}
  } else {
    const items = form.items.split('\n').map((line) => line.trim()).filter(Boolean)
    if (!items.length) throw new Fault('items', 'One item a line: each is a block.')
    found = {items: items.map(scalar)}
  }
  if (form.repeat && form.repeat !== '1') {
    if (!/^\d+$/.test(form.repeat) || Number(form.repeat) < 1) throw new Fault('repeat', 'How often? A whole number from 1 up.')
    found.repeat = {raw: form.repeat}
  }
  return found
}

// form: plain texts by field name. -> the text of job.yaml. Throws Fault.
export function compose(form) {
  if (!form.code.trim()) throw new Fault('code', 'The program is missing: paste it, or drop a Python file.')
  if (!form.function.trim()) throw new Fault('function', 'Which function? Its name is the word after def.')
  const lines = []
  if (form.name.trim()) lines.push(`name: ${JSON.stringify(form.name.trim())}`)
  lines.push(`python: ${JSON.stringify(`${PROGRAM}:${form.function.trim()}`)}`, `blocks: ${flow(blocks(form))}`)
  const params = pairs(form.params, 'params')
  if (params.length) lines.push(`params: ${flow(Object.fromEntries(params.map(([name, text]) => [name, scalar(text)])))}`)
  if (form.reduce === 'best-by' && !form.best.trim()) throw new Fault('best', 'The best by which field of the result? -loss takes the least.')
  if (form.reduce) lines.push(`reduce: ${JSON.stringify(form.reduce === 'best-by' ? `best-by ${form.best.trim()}` : form.reduce)}`)
  const packages = split(form.packages.replaceAll('\n', ','))
  if (packages.length) lines.push(`needs: {packages: ${JSON.stringify(packages)}}`)
  if (form.seconds) lines.push(`limits: {seconds: ${JSON.stringify(form.seconds)}}`.replace(/"(\d+)"/, '$1'))
  if (form.replicas) lines.push(`verify: {replicas: ${form.replicas}}`)
  if (form.ring) lines.push(`ring: ${form.ring}`)
  return lines.join('\n') + '\n'
}

export const functionsOf = (code) => [...code.matchAll(/^(?:async\s+)?def\s+([A-Za-z_]\w*)\s*\(/gm)].map((found) => found[1])

// "job.yaml:3: blocks.grid.C: …" or "job.yaml: line 3, blocks: …" -> {field, line, message}
const FIELD_OF = {python: 'function', command: 'code', blocks: '', params: 'params', reduce: 'reduce', needs: 'packages', limits: 'seconds', verify: 'replicas', ring: 'ring', name: 'name'}
const OF_PROGRAM = new RegExp(`^${PROGRAM.replace('.', '\\.')}:(\\d+):\\s*([^]*)$`)
export function placed(message, kind) {
  const found = String(message).match(/^[^\s:]*\.ya?ml:(\d+):\s*(?:([a-z_]+)((?:\.[^\s:]+)*)\s*:\s*)?([^]*)$/i)
  if (!found) return {field: '', line: 0, message}
  const head = found[2] ?? ''
  const program = found[4].match(OF_PROGRAM)
  if (program) return {field: 'code', line: Number(program[1]), message: `Line ${program[1]}: ${program[2]}`}
  const field = head === 'blocks' ? {count: 'count', grid: 'grid', items: 'items'}[kind] : FIELD_OF[head] ?? ''
  return {field, line: Number(found[1]), message: found[4] || message}
}
