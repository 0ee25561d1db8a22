// Receipts of jobs: one file that lets anybody check who computed what, without asking this node.

import {complain, get, onEvent, ROOT} from './api.js'
import {el, fill} from './dom.js'
import {gently, panel, when} from './parts.js'
import {table} from './table.js'
import {number} from './words.js'

const ENDED = new Set(['settled', 'failed', 'cancelled'])
const PAGE = 500

export function open(root) {
  let closed = false
  const rows = table([
    {key: 'job', title: 'Job', cell: (row) => el('a', {href: `#/jobs/${row.job}`}, el('code', {}, row.job)), sort: (row) => row.job},
    {key: 'name', title: 'Name', cell: (row) => row.name, sort: (row) => row.name},
    {key: 'state', title: 'State', roomy: true, cell: (row) => row.state, sort: (row) => row.state},
    {key: 'when', title: 'Submitted', roomy: true, falling: true, cell: (row) => when(row.submitted_unix), sort: (row) => row.submitted_unix},
    {key: 'blocks', title: 'Blocks', numeric: true, falling: true, cell: (row) => number(row.blocks), sort: (row) => row.blocks},
    {key: 'get', title: 'Receipt', cell: (row) => el('a', {href: `${ROOT}jobs/${row.job}/receipt`, download: `${row.job}.receipt`, 'aria-label': `Download the receipt of ${row.job}`}, 'download'), sort: (row) => row.job},
  ], {label: 'Receipts', key: (row) => row.job, sort: 'when', descending: true, empty: 'No job of yours has ended yet.', height: '34rem'})
  fill(root, panel('receipts', 'Receipts of your jobs', el('p', {class: 'soft'}, 'A receipt holds the signed answers and votes of a job. Whoever gets it checks it with ', el('code', {}, 'ctorrent verify FILE'), '.'), rows.element))
  const load = gently(async () => {
    const found = await get(`jobs?limit=${PAGE}`).catch((error) => void complain(error))
    if (found && !closed) rows.show((found.items ?? found).filter((row) => ENDED.has(row.state)))
  }, () => 2000)
  load()
  const close = onEvent('job', load)
  return () => {
    closed = true
    close()
    load.stop()
  }
}
