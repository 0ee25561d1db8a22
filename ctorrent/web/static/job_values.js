// What blocks return, as a person sees it: numbers, tables, pictures. A value is JSON, and what JSON cannot say is a map
// of one key: {$bytes}, {$int}, {$float}, {$array: {dtype, shape, values | bytes}}, {$map: [[key, value] …]}.

import {el, printable} from './dom.js'
import {bytes, number} from './words.js'

const PIXELS_MAX = 64e6 // a small file may claim far more, and a browser would try
const TEXT_MAX = 20000 // characters of one value on the page; a download has all of it
const LIST_ROWS = 50 // of an answer that is a table
const COLUMNS_MAX = 60 // each field's name is a worker's to choose, and a block may return thousands

const isMap = (value) => value !== null && typeof value === 'object' && !Array.isArray(value)
const only = (value, key) => isMap(value) && key in value && Object.keys(value).length === 1

export function entries(value) {
  return only(value, '$map') ? value.$map : Object.entries(value)
}

const sized = (base64) => Math.max(0, Math.floor((base64.length * 3) / 4) - (base64.endsWith('==') ? 2 : base64.endsWith('=') ? 1 : 0))

// One line of text, cut at `max`.
export function inline(value, max = 80) {
  const text = words(value, max)
  return printable(text.length > max ? text.slice(0, max - 1) + '…' : text)
}

function words(value, max) {
  if (value === null || value === undefined) return '–'
  if (typeof value === 'number') return shownNumber(value)
  if (typeof value === 'boolean') return String(value)
  if (typeof value === 'string') return value
  if (only(value, '$bytes')) return `${isPicture(value) ? 'image' : 'bytes'}, ${bytes(sized(value.$bytes))}`
  if (only(value, '$int')) return String(value.$int)
  if (only(value, '$float')) return String(value.$float)
  if (only(value, '$array')) return `${value.$array.dtype.replace(/^[<|>=]/, '')} array ${value.$array.shape.join(' × ')}`
  const parts = []
  let room = max
  const list = Array.isArray(value)
  for (const item of list ? value : entries(value)) {
    const part = list ? words(item, room) : `${item[0]}: ${words(item[1], room)}`
    parts.push(part)
    if ((room -= part.length + 2) < 0) break
  }
  return list ? `[${parts.join(', ')}]` : parts.join(', ')
}

export function shownNumber(value) {
  if (Number.isInteger(value)) return Math.abs(value) >= 1e15 ? value.toExponential(6) : String(value)
  const size = Math.abs(value)
  return size >= 1e6 || size < 1e-4 ? value.toExponential(4) : String(Number(value.toPrecision(6)))
}

export const isNumber = (value) => typeof value === 'number' || only(value, '$int') || only(value, '$float')

// -- rows of a job as one flat table -----------------------------------------------------------------------------------

// row -> Map of column -> value, at most so many: params, then what the block returned. ours: names that stand for neither
export function flat(row, most = COLUMNS_MAX, ours = []) {
  const found = new Map()
  const put = (name, value) => { if (found.size < most) found.set(name, value) }
  for (const [name, value] of entries(row.params ?? {})) put(ours.includes(name) ? `params.${name}` : name, value)
  const taken = new Set([...found.keys(), ...ours])
  if (row.value !== undefined && row.value !== null) {
    if (isMap(row.value) && !special(row.value)) spread(put, '', row.value, taken)
    else put(taken.has('value') ? 'result.value' : 'value', row.value)
  }
  return found
}

const special = (value) => ['$bytes', '$int', '$float', '$array'].some((key) => only(value, key))

function spread(put, prefix, map, taken) {
  for (const [name, value] of entries(map)) {
    if (isMap(value) && !special(value)) spread(put, `${prefix}${name}.`, value, taken)
    else put(taken.has(prefix + name) ? `result.${prefix}${name}` : prefix + name, value)
  }
}

// -- a whole value -----------------------------------------------------------------------------------------------------

export function whole(value, label = 'value') {
  if (isPicture(value)) return picture(value, label, 720, 540)
  if (Array.isArray(value) && value.length && value.every((one) => isMap(one) && !special(one))) return listTable(value)
  if (isMap(value) && !special(value)) {
    return el('dl', {class: 'facts'}, entries(value).slice(0, COLUMNS_MAX).map(([name, one]) => [el('dt', {}, name), el('dd', {}, isPicture(one) ? picture(one, name, 480, 360) : el('span', {class: 'mono'}, inline(one, 2000)))]))
  }
  if (typeof value === 'string') return el('pre', {class: 'value', tabindex: '0'}, printable(value, TEXT_MAX))
  if (isNumber(value) || typeof value === 'boolean') return el('p', {class: 'figure num'}, inline(value))
  return el('pre', {class: 'value', tabindex: '0'}, printable(only(value, '$bytes') || only(value, '$array') ? inline(value) : JSON.stringify(value, null, 1) ?? '–', TEXT_MAX))
}

function listTable(rows) {
  const names = [...new Set(rows.slice(0, LIST_ROWS).flatMap((row) => entries(row).map(([name]) => name)))].slice(0, COLUMNS_MAX)
  const cells = rows.slice(0, LIST_ROWS).map((row) => new Map(entries(row)))
  return el('div', {}, el('div', {class: 'wide answer-rows', tabindex: '0', role: 'region', 'aria-label': 'Answer, as a table'}, el('table', {class: 'narrow'},
    el('thead', {}, el('tr', {}, names.map((name) => el('th', {scope: 'col', class: isNumber(cells[0].get(name)) ? 'right' : null}, name)))),
    el('tbody', {}, cells.map((row) => el('tr', {}, names.map((name) => el('td', {class: isNumber(row.get(name)) ? 'right' : null}, inline(row.get(name), 60)))))))),
  rows.length > LIST_ROWS && el('p', {class: 'soft'}, `and ${number(rows.length - LIST_ROWS)} more rows`))
}

// -- pictures ----------------------------------------------------------------------------------------------------------

const KINDS = [['iVBORw0KGgo', 'png'], ['/9j/', 'jpeg'], ['UDYK', 'ppm'], ['UDYg', 'ppm'], ['UDUK', 'ppm'], ['UDUg', 'ppm']] // how base64 of each begins

function kindOf(value) {
  if (only(value, '$bytes') && typeof value.$bytes === 'string') return KINDS.find(([begin]) => value.$bytes.startsWith(begin))?.[1] ?? ''
  if (!only(value, '$array')) return ''
  const {dtype, shape} = value.$array
  return dtype === '|u1' && Math.min(...shape) > 0 && (shape.length === 2 || (shape.length === 3 && (shape[2] === 3 || shape[2] === 4))) ? 'array' : ''
}

export const isPicture = (value) => kindOf(value) !== ''

// A canvas of at most that size: it is drawn when it has been decoded, and never larger than it is shown.
export function picture(value, label, width, height) {
  const canvas = el('canvas', {class: 'picture', role: 'img', 'aria-label': `${label}: image`, width: 1, height: 1})
  decode(value).then((image) => {
    const scale = Math.min(1, width / image.width, height / image.height)
    const density = Math.min(2, devicePixelRatio || 1)
    canvas.width = Math.max(1, Math.round(image.width * Math.min(1, scale * density)))
    canvas.height = Math.max(1, Math.round(image.height * Math.min(1, scale * density)))
    canvas.style.width = `${Math.max(1, Math.round(image.width * scale))}px`
    canvas.setAttribute('aria-label', `${label}: image, ${image.width} × ${image.height}`)
    canvas.title = `${image.width} × ${image.height}`
    canvas.getContext('2d').drawImage(image, 0, 0, canvas.width, canvas.height)
    image.close?.()
  }).catch((error) => canvas.replaceWith(el('span', {class: 'soft'}, `image that cannot be shown (${error.message || 'broken'})`)))
  return canvas
}

async function decode(value) {
  const kind = kindOf(value)
  if (kind === 'array') return fromArray(value.$array)
  const data = unbased(value.$bytes)
  if (kind === 'ppm') return fromPpm(data)
  const claimed = kind === 'png' ? new DataView(data.buffer).getUint32(16) * new DataView(data.buffer).getUint32(20) : jpegPixels(data)
  if (!(claimed > 0 && claimed <= PIXELS_MAX)) throw new Error('too large')
  return createImageBitmap(new Blob([data], {type: `image/${kind}`}))
}

export function unbased(base64) {
  const text = atob(base64), data = new Uint8Array(text.length)
  for (let n = 0; n < text.length; n++) data[n] = text.charCodeAt(n)
  return data
}

// of its first frame header
function jpegPixels(data) {
  for (let at = 2; at + 9 < data.length && data[at] === 0xff;) {
    const mark = data[at + 1]
    if (mark >= 0xc0 && mark <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(mark)) return (data[at + 5] * 256 + data[at + 6]) * (data[at + 7] * 256 + data[at + 8])
    at += 2 + data[at + 2] * 256 + data[at + 3]
  }
  return 0
}

function fromArray({shape, values, bytes: packed}) {
  const [height, width, depth = 1] = shape
  const flatValues = packed ? unbased(packed) : values.flat(Infinity)
  return rgba(width, height, depth, flatValues)
}

function fromPpm(data) {
  const head = new TextDecoder('latin1').decode(data.subarray(0, 200)).match(/^P([56])\s+(?:#[^\n]*\n\s*)*(\d+)\s+(\d+)\s+(\d+)\s/)
  if (!head || Number(head[4]) !== 255) throw new Error('of a kind this page does not read')
  return rgba(Number(head[2]), Number(head[3]), head[1] === '6' ? 3 : 1, data.subarray(head[0].length))
}

function rgba(width, height, depth, values) {
  if (!(width * height > 0 && width * height <= PIXELS_MAX) || values.length < width * height * depth) throw new Error('broken')
  const pixels = new Uint8ClampedArray(4 * width * height)
  for (let n = 0; n < width * height; n++) {
    for (let c = 0; c < 3; c++) pixels[4 * n + c] = values[n * depth + (depth < 3 ? 0 : c)]
    pixels[4 * n + 3] = depth === 4 ? values[n * depth + 3] : 255
  }
  return createImageBitmap(new ImageData(pixels, width, height))
}
