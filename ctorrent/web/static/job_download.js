// All rows of a job as one file, read page by page: CSV for spreadsheets, JSON for programs.

import {get, listOf, toast} from './api.js'
import {el} from './dom.js'
import {flat, isNumber} from './job_values.js'
import {pathOf} from './job_words.js'
import {number} from './words.js'

const PAGE = 1000
const OURS = ['index', 'seed', 'state', 'error', 'workers', 'agreed', 'seconds']
export const FIELDS_MAX = 1000 // columns that results may make, as for ctorrent results: each block may name others
// A spreadsheet runs a cell that begins with one of these as a formula, and a worker may return any text (OWASP).
const FORMULA = /^[=+\-@\t\r\n＝＋－＠]/
// Where lists have semicolons or tabs, a cell of ours is several: cli/tables.py tells why it is this, and has the same.
const PART = /([;\t\r\n])((?:[^\S\t\r\n]|")*)((?![+-][0-9]+(?:[.,][0-9]+)?(?:[eE][+-]?[0-9]+)?[^\S\t\r\n]*(?:\1|[\r\n]))[=+\-@＝＋－＠])?/g

export async function download({job, name, blocks}, kind, progress) {
  const parts = []
  const columns = new Set()
  for (let after = -1; after < blocks - 1;) {
    const rows = listOf(await get(pathOf(job, `results?after=${after}&limit=${PAGE}`)))
    if (!rows.length) break
    after = rows.at(-1).index
    for (const row of rows) gather(columns, row)
    parts.push(kind === 'json' ? rows.map((row) => JSON.stringify(row)).join(',\n') : rows)
    progress(after + 1)
  }
  if (kind === 'csv' && columns.size > FIELDS_MAX) toast(`The results have more than ${number(FIELDS_MAX)} different fields: the CSV has the first ones.`, {hint: 'The JSON has all.'})
  const text = kind === 'json' ? ['[\n', parts.join(',\n'), '\n]\n'] : csv(parts, [...columns].slice(0, FIELDS_MAX))
  offer(new Blob(text, {type: kind === 'json' ? 'application/json' : 'text/csv;charset=utf-8'}), `${fileName(name)}-${job}.${kind}`)
}

// One more than are written, so that it is known that there are more.
export function gather(columns, row) {
  for (const column of flat(row, FIELDS_MAX + 1, OURS).keys()) if (columns.size <= FIELDS_MAX) columns.add(column)
}

export function fileName(text) {
  return text.normalize('NFKD').replace(/[^\w.-]+/g, '-').replace(/^[-.]+|-+$/g, '').slice(0, 60) || 'job'
}

export function offer(blob, name) {
  const url = URL.createObjectURL(blob)
  const link = el('a', {href: url, download: name})
  document.body.append(link)
  link.click()
  link.remove()
  setTimeout(() => URL.revokeObjectURL(url), 60000) // the browser has begun to read it by then
}

// Columns as of `ctorrent results --csv` (docs/results.md).
export function csv(pages, columns) {
  const given = new Set()
  for (const rows of pages) for (const {params} of rows) for (const name of flat({params}, FIELDS_MAX, OURS).keys()) given.add(name)
  const [asked, returned] = [columns.filter((name) => given.has(name)), columns.filter((name) => !given.has(name))]
  const lines = [['index', ...asked, 'seed', 'state', ...returned, 'error', 'workers', 'agreed', 'seconds'].map(quoted).join(',') + '\n']
  for (const rows of pages) {
    lines.push(rows.map((row) => {
      const cells = flat(row, FIELDS_MAX, OURS)
      const of = (names) => names.map((name) => cells.get(name))
      const error = row.failure ? String(row.failure.text ?? row.failure.type ?? '').trim().split('\n').pop() : row.words ?? ''
      return [row.index, ...of(asked), row.seed, row.state, ...of(returned), error, (row.workers ?? []).join(' '), row.agreed, row.seconds].map(quoted).join(',')
    }).join('\n') + '\n')
  }
  return lines
}

export function defused(text) {
  const parts = text.replace(PART, (all, separator, before, sign) => sign ? `${separator}'${before}${sign}` : all)
  return FORMULA.test(parts) ? `'${parts}` : parts
}

function quoted(value) {
  if (value === undefined || value === null) return ''
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (isNumber(value)) return String(value.$int ?? value.$float)
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  const safe = defused(text)
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}
