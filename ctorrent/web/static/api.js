// The node behind this page: calls, live events, and messages about what went wrong.
//   get(path) post(path, body) put(path, body) del(path)   paths below /api/v1, such as 'jobs/k3f9abcd'
//   onEvent(kind, callback) -> stop()                      one stream for the whole page, kept open and reopened
//   toast(text, {hint, kind})  complain(error)             complain shows an error's sentence and its hint

import {advice} from './advice.js'
import {add, el} from './dom.js'

export const ROOT = '/api/v1/'

export class Problem extends Error {
  // status: of HTTP, 0 where the node did not answer. hint: what to do. body: all that was said.
  constructor(message, hint = '', status = 0, body = {}) {
    super(advice(message))
    Object.assign(this, {hint: advice(hint), status, body})
  }
}

export const get = (path, options = {}) => call('GET', path, undefined, options)
export const post = (path, body, options = {}) => call('POST', path, body, options)
export const put = (path, body, options = {}) => call('PUT', path, body, options)
export const del = (path, options = {}) => call('DELETE', path, undefined, options)

// body: FormData, Blob and text go as they are, the rest as JSON. options: {signal, type, headers}
async function call(method, path, body, {signal, type, headers = {}} = {}) {
  const init = {method, signal, credentials: 'same-origin', cache: 'no-store', headers: {Accept: 'application/json', ...headers}}
  if (body !== undefined && body !== null) {
    const raw = body instanceof FormData || body instanceof Blob || typeof body === 'string'
    init.body = raw ? body : JSON.stringify(body)
    if (!(body instanceof FormData)) init.headers['Content-Type'] = type ?? (raw ? body.type || 'text/plain' : 'application/json')
  }
  let answer
  try {
    answer = await fetch(ROOT + path, init)
  } catch (error) {
    if (error.name === 'AbortError') throw error
    throw new Problem('The node does not answer.', 'Is it still running? ctorrent node starts it; ctorrent open opens this page again.')
  }
  if (answer.ok) return answer.status === 204 ? null : /json/.test(answer.headers.get('Content-Type') ?? '') ? answer.json() : answer.text()
  throw await problem(answer)
}

async function problem(answer) {
  let body = {}
  try {
    body = await answer.json()
  } catch { /* not every proxy in between speaks problem+json */ }
  if (answer.status === 401) lockedOut()
  const said = body.detail || body.title || `The node answered ${answer.status}.`
  return new Problem(typeof said === 'string' ? said : JSON.stringify(said), body.hint || '', answer.status, body)
}

// -- who may look ------------------------------------------------------------------------------------------------------

let locked = () => {}
export function onLocked(callback) { locked = callback }
function lockedOut() {
  closeStream()
  locked()
}

// -- live events -------------------------------------------------------------------------------------------------------

const listeners = new Map() // kind -> callbacks
const latest = new Map() // what a view that opens later begins with: machine, pool, peers
let stream = null
let retry = 0
let linked = () => {}
export function onLink(callback) { linked = callback } // (true or false): whether events arrive

export function onEvent(kind, callback) {
  if (!listeners.has(kind)) {
    listeners.set(kind, new Set())
    stream?.addEventListener(kind, arrived)
  }
  listeners.get(kind).add(callback)
  if (latest.has(kind)) callback(latest.get(kind))
  openStream()
  return () => listeners.get(kind).delete(callback)
}

function openStream() {
  if (stream || document.visibilityState === 'hidden') return
  stream = new EventSource(ROOT + 'events')
  stream.onmessage = arrived
  for (const kind of listeners.keys()) stream.addEventListener(kind, arrived)
  stream.onopen = () => { retry = 0; linked(true) }
  stream.onerror = lost
}

function closeStream() {
  clearTimeout(again)
  stream?.close()
  stream = null
}

let again = 0
function lost() {
  closeStream()
  linked(false)
  get('status').catch(() => {}) // a token that has ended shows itself here; a stream says no reason
  again = setTimeout(openStream, Math.min(5000, 250 * 2 ** retry++))
}

// A page that nobody sees asks for nothing, and is told the present state when it is seen again.
document.addEventListener('visibilitychange', () => {
  if (document.visibilityState === 'hidden') closeStream()
  else if (listeners.size) openStream()
})

function arrived(message) {
  let event
  try {
    event = JSON.parse(message.data)
  } catch {
    return
  }
  const kind = event.kind ?? message.type
  if (kind !== 'job' && kind !== 'gone') latest.set(kind, event)
  for (const callback of [...(listeners.get(kind) ?? [])]) callback(event)
}

// -- messages ----------------------------------------------------------------------------------------------------------

const TOASTS_MAX = 4 // more than that is a wall: the oldest goes
const SHOWN_MS = 9000 // long enough for two sentences; errors stay until they are closed

export function toast(text, {hint = '', kind = 'info'} = {}) {
  const place = document.getElementById('toasts')
  for (const other of [...place.children]) if (other.dataset.said === `${kind} ${text}`) other.remove() // said again is not said twice
  const close = el('button', {type: 'button', class: 'icon', 'aria-label': 'Close this message', onclick: () => box.remove()}, '×')
  const box = el('div', {class: `toast ${kind}`, data: {said: `${kind} ${text}`}, role: kind === 'error' ? 'alert' : null},
    el('div', {}, el('p', {}, text), hint && el('p', {class: 'hint'}, hint)), close)
  add(place, box)
  while (place.childElementCount > TOASTS_MAX) place.firstElementChild.remove()
  if (kind !== 'error') setTimeout(() => box.remove(), SHOWN_MS)
  return box
}

export function complain(error) {
  if (error.name === 'AbortError' || error.status === 401) return
  toast(error.message, {hint: error.hint ?? '', kind: 'error'})
}

// Rows of an answer: a list by itself, or the list of a map with `next` beside it.
export const listOf = (answer) => (Array.isArray(answer) ? answer : Object.values(answer ?? {}).find(Array.isArray) ?? [])
