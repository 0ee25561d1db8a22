// Smaller parts of a job's page: workers, disputes in words, why nobody takes it, what was signed.

import {advice} from './advice.js'
import {get} from './api.js'
import {el, fill} from './dom.js'
import {OVER, pathOf} from './job_words.js'
import {count, duration, number, short} from './words.js'

const WORKER_KIND = {engaged: 'good', lost: 'bad', left: '', expelled: 'bad'}
const WHY_MS = 2000 // between two looks at why nobody takes it

export function workersPart() {
  const element = el('div')
  return {
    element,
    update(job) {
      const rows = [...(job.workers ?? [])].sort((a, b) => b.done - a.done || (a.node < b.node ? -1 : 1))
      if (!rows.length) {
        fill(element, el('p', {class: 'soft'}, job.state === 'waiting' ? 'Nobody works on it yet. “Why” says what it waits for.' : 'Nobody worked on it.'))
        return
      }
      const most = Math.max(1, ...rows.map((row) => row.done))
      const head = ['worker', 'state', 'runs now', 'computed', 'agreed', 'wrong', 'busy', 'isolation']
      fill(element, el('div', {class: 'wide', tabindex: '0', role: 'region', 'aria-label': 'Workers'}, el('table', {class: 'workers'},
        el('thead', {}, el('tr', {}, head.map((name, n) => el('th', {scope: 'col', class: n > 2 && n < 7 ? 'right' : null}, name)))),
        el('tbody', {}, rows.slice(0, 200).map((row) => {
          const bar = el('i', {class: 'share', 'aria-hidden': 'true'})
          bar.style.width = `${(100 * row.done) / most}%`
          const wrong = row.disputed + row.invalid
          return el('tr', {},
            el('th', {scope: 'row'}, el('span', {class: 'worker-name'}, row.name || short(row.node), row.local && el('span', {class: 'soft'}, ' (this machine)')), el('span', {class: 'soft mono', title: row.node}, short(row.node)), bar),
            el('td', {}, el('span', {class: `pill ${WORKER_KIND[row.state] ?? ''}`}, row.state)),
            el('td', {class: 'soft'}, row.running.length ? `${row.running.slice(0, 4).map(number).join(', ')}${row.running.length > 4 ? ' …' : ''}` : '–'),
            el('td', {class: 'right'}, number(row.done)), el('td', {class: 'right'}, number(row.agreed)),
            el('td', {class: `right ${wrong ? 'alarm' : 'soft'}`}, number(wrong)), el('td', {class: 'right'}, duration(row.busy_s)), el('td', {class: 'soft'}, row.isolation))
        })))),
      rows.length > 200 && el('p', {class: 'soft'}, `and ${number(rows.length - 200)} more`))
    },
  }
}

export function disputesPart(names, onPick) {
  const element = el('div', {class: 'stack'})
  return {
    element,
    update(job) {
      const report = job.report, found = report?.disputes ?? []
      if (!found.length) {
        fill(element, el('p', {class: 'soft'}, job.disputed ? `${count(job.disputed, 'block')} disputed: what differs is read when the next answers are in.`
          : job.replicas_wanted > 1 ? 'No dispute: wherever two owners computed a block, their answers agree.' : 'One replica of each block was asked for, so there is nothing to compare.'))
        return
      }
      fill(element, el('ul', {class: 'disputes'}, found.map((dispute) => el('li', {},
        el('button', {type: 'button', class: 'cell', onclick: () => onPick(dispute.index)}, `Block ${number(dispute.index)}`), ' ',
        el('span', {class: `pill ${dispute.state === 'settled' ? 'good' : 'odd'}`}, dispute.state === 'settled' ? 'settled by majority' : 'disputed'),
        el('p', {}, dispute.words), dispute.outvoted.length > 0 && el('p', {class: 'soft'}, `Outvoted: ${dispute.outvoted.map(names).join(', ')}`)))),
      report.disputes_total > found.length && el('p', {class: 'soft'}, `and ${number(report.disputes_total - found.length)} more`))
    },
  }
}

export function whyPart(job) {
  const element = el('div', {class: 'stack', 'aria-live': 'polite'}, el('p', {class: 'soft'}, 'Asking …'))
  let closed = false, timer = 0, key = ''
  async function look() {
    let next = WHY_MS
    try {
      const why = await get(pathOf(job, 'why'))
      if (closed) return
      if (OVER.has(why.state)) next = 0
      if (key !== (key = JSON.stringify(why))) show(why)
    } catch (error) {
      if (!closed) fill(element, el('p', {class: 'wrong'}, `${error.message} ${error.hint ?? ''}`))
    }
    if (next && !closed) timer = setTimeout(look, next)
  }
  function show(why) {
    const reasons = Object.entries(why.reasons ?? {}).sort((a, b) => b[1] - a[1])
    fill(element, el('p', {class: 'lead'}, why.state === 'settled' ? 'It waits for nothing: every block is settled.' : advice(why.waits_for) || 'It waits for nothing.'),
      reasons.length > 0 && el('p', {class: 'soft'}, `${count(why.saw ?? 0, 'machine')} answered its announcement; ${count(why.engaged ?? 0, 'works', 'work')} on it.`),
      reasons.length > 0 && el('table', {class: 'narrow'}, el('thead', {}, el('tr', {}, el('th', {scope: 'col'}, 'why not'), el('th', {scope: 'col', class: 'right'}, 'machines'))),
        el('tbody', {}, reasons.slice(0, 100).map(([reason, machines]) => el('tr', {}, el('td', {}, advice(reason)), el('td', {class: 'right'}, number(machines)))))),
      !reasons.length && !(why.saw > 0) && !OVER.has(why.state) && el('p', {class: 'soft'}, 'Nobody else is here: the ', el('a', {href: '#/guide'}, 'guide'), ' connects this node to others.'))
  }
  look()
  return {element, close() { closed = true; clearTimeout(timer) }}
}

export function aboutPart(job) {
  const element = el('div', {class: 'stack'}, el('p', {class: 'soft'}, 'Reading …'))
  let closed = false
  get(pathOf(job, 'timeline')).then((line) => {
    if (closed) return
    fill(element, el('dl', {class: 'facts'}, (line.about ?? []).map(([name, words]) => [el('dt', {}, name), el('dd', {}, words)])),
      line.longest_s > 0 && el('p', {class: 'soft'}, duration(line.shortest_s) === duration(line.longest_s) ? `Blocks took ${duration(line.longest_s)}.` : `Blocks took ${duration(line.shortest_s)} to ${duration(line.longest_s)}.`),
      times(line.times ?? []))
  }).catch((error) => closed || fill(element, el('p', {class: 'wrong'}, `${error.message} ${error.hint ?? ''}`)))
  return {element, close() { closed = true }}
}

// How long blocks took: a small histogram.
function times(found) {
  if (found.length < 2) return null
  const most = Math.max(...found.map((one) => one[2]))
  return el('figure', {}, el('figcaption', {class: 'label'}, 'Time of a block'), el('div', {class: 'histogram', role: 'img', 'aria-label': `Histogram of block times from ${duration(found[0][0])} to ${duration(found.at(-1)[1])}`},
    found.map(([from, to, replicas]) => { const bar = el('i', {title: `${duration(from)} to ${duration(to)}: ${number(replicas)}`}); bar.style.height = `${(100 * replicas) / most}%`; return bar })),
  el('div', {class: 'row spread soft num'}, el('span', {}, duration(found[0][0])), el('span', {}, duration(found.at(-1)[1]))))
}
