// What blocks print, as they do, and the traceback of each way in which some failed: a tail that keeps up, a filter, and
// never more lines than a page can hold.

import {ROOT} from './api.js'
import {add, el, fill, printable, say} from './dom.js'
import {rowOf} from './job_map.js'
import {OVER, pathOf} from './job_words.js'
import {number} from './words.js'

const LINES_KEPT = 5000 // in memory, the newest
const LINES_SHOWN = 600 // in the document, the newest that pass the filter
const PRINTED_MS = 1000 // in which what a job printed before it ended has come
const LINE_MAX = 2000 // characters; a program may print a megabyte without a line's end

const BEGIN_CHARS = 200 // of what a replica printed, by which it is known again

const keyOf = (piece) => `${piece.index} ${piece.worker}`
// Of two beginnings one may be longer: lines are cut where a pause was.
const alike = (a, b) => a.startsWith(b) || b.startsWith(a)

export class Logs {
  constructor(job, names) {
    Object.assign(this, {job, names, lines: [], fresh: [], text: '', closed: false, frame: 0, seen: 0, follow: true, told: new Set(), came: new Map(), begins: new Map()})
    this.search = el('input', {type: 'search', placeholder: 'Filter: text, or block 17', 'aria-label': 'Filter the log', oninput: () => { this.text = this.search.value.trim().toLowerCase(); this.again() }})
    this.box = el('div', {class: 'log', role: 'log', 'aria-label': 'Log', 'aria-live': 'off', tabindex: '0'})
    this.box.addEventListener('scroll', () => { this.follow = this.box.scrollTop + this.box.clientHeight > this.box.scrollHeight - 24; this.jump.hidden = this.follow })
    this.jump = el('button', {type: 'button', class: 'log-jump', hidden: true, onclick: () => { this.follow = true; this.down() }}, '↓ newest')
    this.word = el('p', {class: 'soft'}, 'Nothing has been printed yet. What a block prints shows here as soon as its worker sends it.')
    this.problem = el('div', {class: 'note bad', role: 'alert', hidden: true})
    this.element = el('div', {class: 'stack'}, el('div', {class: 'row spread'}, this.search, this.count = el('span', {class: 'soft num'})), this.problem, el('div', {class: 'log-frame'}, this.box, this.jump), this.word)
    this.box.hidden = true
    this.turned = () => this.turn()
    document.addEventListener('visibilitychange', this.turned)
    this.turn()
  }

  // A page that nobody sees holds no stream: a browser opens six to a node, for all its pages.
  turn() {
    clearTimeout(this.again_)
    this.source?.close()
    if (document.visibilityState !== 'hidden' && !this.over) this.open()
  }

  // A stream tells all that is kept, from its first line on: what came with the one before is left out.
  open() {
    this.source = new EventSource(`${ROOT}${pathOf(this.job, 'logs')}?follow=true`)
    const known = new Map(this.came)
    const met = new Set()
    const came = (message) => {
      let piece
      try { piece = JSON.parse(message.data) } catch { return /* not a line of a log */ }
      if (typeof piece.text !== 'string') return
      const key = keyOf(piece)
      if (!met.has(key)) {
        const first = this.begins.get(key)
        if (first === undefined) this.begins.set(key, piece.text.slice(0, BEGIN_CHARS))
        else if (!alike(first, piece.text)) { // its oldest lines are gone, or the node began anew
          this.source.close()
          this.anew()
          return this.open()
        }
        met.add(key)
      }
      this.take(this.rest(piece, known))
    }
    this.source.onmessage = came
    this.source.addEventListener('log', came)
    this.source.addEventListener('problem', (message) => {
      const found = JSON.parse(message.data)
      fill(this.problem, el('p', {}, found.detail), found.hint && el('p', {class: 'hint'}, found.hint))
      this.problem.hidden = false
    })
    this.source.onerror = () => { this.source.close(); if (!this.closed && !this.over) this.again_ = setTimeout(() => { this.anew(); this.open() }, 2000) }
    this.source.addEventListener('end', () => { this.over = true; this.source.close(); this.failed() })
  }

  // What of a piece is new. known: how many characters of each replica's text are yet to be left out
  rest(piece, known) {
    const key = keyOf(piece)
    const left = known.get(key) ?? 0
    known.set(key, Math.max(0, left - piece.text.length))
    const text = piece.text.slice(left)
    this.came.set(key, (this.came.get(key) ?? 0) + text.length)
    return {...piece, text}
  }

  anew() {
    Object.assign(this, {lines: [], fresh: [], seen: 0})
    this.begins.clear()
    this.told.clear()
    this.came.clear()
    this.box.replaceChildren()
  }

  close() {
    this.closed = true
    document.removeEventListener('visibilitychange', this.turned)
    clearTimeout(this.again_)
    clearTimeout(this.soon)
    cancelAnimationFrame(this.frame)
    this.source?.close()
  }

  // Of a job that has ended, failures come below all that was printed: once that is here, which its stream may say late.
  update(job) {
    this.status = job
    if (OVER.has(job.state) && !this.over) this.soon ??= setTimeout(() => this.failed(), PRINTED_MS)
    else this.failed()
  }

  // The first block of each kind of failure, with its traceback.
  async failed() {
    for (const {index} of this.status?.failures ?? []) {
      if (this.told.has(index)) continue
      this.told.add(index)
      const row = await rowOf(this.job, index).catch(() => null)
      if (!row) this.told.delete(index) // the note above says its last line; the next look may find it
      else if (!this.closed && row.failure?.text) this.take({index, worker: row.workers?.[0], text: row.failure.text, bad: true})
    }
  }

  take(piece) {
    if (!piece.text) return
    for (const line of piece.text.replace(/\n$/, '').split('\n')) {
      const made = {block: piece.index, worker: piece.worker, text: line.slice(0, LINE_MAX), bad: piece.bad}
      this.lines.push(made)
      if (this.passes(made)) this.fresh.push(made)
      this.seen++
    }
    if (this.lines.length > LINES_KEPT) this.lines.splice(0, this.lines.length - LINES_KEPT)
    if (this.fresh.length > LINES_SHOWN) this.fresh.splice(0, this.fresh.length - LINES_SHOWN)
    this.draw()
  }

  passes(line) {
    if (!this.text) return true
    const block = this.text.match(/^block (\d+)$/)
    return block ? line.block === Number(block[1]) : line.text.toLowerCase().includes(this.text)
  }

  again() {
    this.box.replaceChildren()
    this.fresh = this.lines.filter((line) => this.passes(line)).slice(-LINES_SHOWN)
    this.draw()
  }

  draw() {
    if (!this.frame && !this.closed) this.frame = requestAnimationFrame(() => { this.frame = 0; this.drawNow() })
  }

  drawNow() {
    const made = document.createDocumentFragment()
    for (const line of this.fresh) add(made, el('div', {class: line.bad ? 'log-line bad' : 'log-line'}, el('span', {class: 'log-from', title: `block ${line.block}, ${this.names(line.worker)}`}, `${line.block} ${this.names(line.worker)}`), el('span', {}, printable(line.text))))
    this.fresh = []
    this.box.append(made)
    while (this.box.childElementCount > LINES_SHOWN) this.box.firstElementChild.remove()
    this.box.hidden = !this.seen
    this.word.hidden = this.seen > 0
    say(this.count, this.seen ? `${number(this.seen)} lines${this.lines.length < this.seen ? `, the last ${number(this.lines.length)} kept` : ''}` : '')
    if (this.follow) this.down()
  }

  down() {
    this.box.scrollTop = this.box.scrollHeight
  }
}
