// Trust: what is thought of each machine and why, the ledger, who worked for whom, and the receipts of jobs.

import {add, el, fill} from './dom.js'
import {open as credit} from './trust_credit.js'
import {open as ledger} from './trust_ledger.js'
import {open as receipts} from './trust_receipts.js'
import {open as reputation} from './trust_reputation.js'

export const title = 'Trust'

const PARTS = {reputation: ['Reputation', reputation], ledger: ['Ledger', ledger], credit: ['Credit', credit], receipts: ['Receipts', receipts]}

// args: ['ledger'], or a node's id: the votes behind its reputation.
export function open(root, args = []) {
  const name = PARTS[args[0]] ? args[0] : 'reputation'
  const tabs = Object.entries(PARTS).map(([key, [text]]) => el('a', {href: `#/trust/${key}`, class: 'button', 'aria-current': key === name && 'page'}, text))
  const place = el('div', {class: 'stack'})
  add(fill(root), el('div', {class: 'view-head'}, el('h1', {}, 'Trust'), el('div', {class: 'row', role: 'navigation', 'aria-label': 'Parts of Trust'}, tabs)), place)
  return PARTS[name][1](place, PARTS[args[0]] ? args.slice(1) : args) ?? (() => {})
}
