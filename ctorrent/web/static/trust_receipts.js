// Receipts of jobs: one file that lets anybody check who computed what, without asking this node.

import {complain, get, listOf, onEvent, ROOT} from './api.js'
import {el, fill} from './dom.js'
import {OVER} from './job_words.js'
import {doing, gently, panel, when} from './parts.js'
import {table} from './table.js'
import {number} from './words.js'

const PAGE = 500 // jobs asked for at once
const SHOW_MS = 500 // between two drawings: many jobs may end at once

export function open(root) {
  const ended = new Map()
  let next = null
  let closed = false
  const rows = table([
    {key: 'job', title: 'Job', cell: (row) => el('a', {href: `#/jobs/${row.job}`}, el('code', {}, row.job)), sort: (row) => row.job},
    {key: 'name', title: 'Name', cell: (row) => row.name, sort: (row) => row.name},
    {key: 'state', title: 'State', roomy: true, cell: (row) => row.state, sort: (row) => row.state},
    {key: 'when', title: 'Submitted', roomy: true, falling: true, cell: (row) => when(row.submitted_unix), sort: (row) => row.submitted_unix},
    {key: 'blocks', title: 'Blocks', numeric: true, falling: true, cell: (row) => number(row.blocks), sort: (row) => row.blocks},
    {key: 'get', title: 'Receipt', cell: (row) => el('a', {href: `${ROOT}jobs/${row.job}/receipt`, download: `${row.job}.receipt`, 'aria-label': `Download the receipt of ${row.job}`}, 'download'), sort: (row) => row.job},
  ], {label: 'Receipts', key: (row) => row.job, sort: 'when', descending: true, empty: 'No job of yours has ended yet.', height: '34rem'})
  const older = el('button', {type: 'button', hidden: true, onclick: () => doing(older, more, complain)}, 'Show older jobs')
  fill(root, panel('receipts', 'Receipts of your jobs', el('p', {class: 'soft'}, 'A receipt holds the signed answers and votes of a job. Whoever gets it checks it with ', el('code', {}, 'ctorrent verify FILE'), '.'), rows.element, older))
  const show = gently(() => rows.show([...ended.values()]), () => SHOW_MS)
  const came = (job) => {
    if (!OVER.has(job.state)) return
    ended.set(job.job, job)
    show()
  }
  const more = async () => {
    const answer = await get(`jobs?limit=${PAGE}${next ? `&after=${encodeURIComponent(next)}` : ''}`)
    if (closed) return
    listOf(answer).forEach(came)
    next = answer.next
    older.hidden = !next
    show()
  }
  const closers = [onEvent('job', ({job}) => came(job)), onEvent('gone', ({job}) => { ended.delete(job); show() })]
  more().catch(complain)
  return () => {
    closed = true
    for (const close of closers) close()
    show.stop()
  }
}
