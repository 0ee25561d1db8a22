// The first-run guide: from a machine alone to a machine among friends, in four steps that tell when they are done.

import {complain, get, onEvent, put} from './api.js'
import {el, fill, say} from './dom.js'
import {relation, waits} from './map.js'
import {called, doing, gently, latency, panel} from './parts.js'
import {friendship, inviting, joining, requests} from './people.js'
import {count} from './words.js'

export const title = 'Guide'

const STEPS = ['nearby', 'join', 'share', 'job']

// Opens the guide for who comes for the first time: an address without a view, and a node without friends and jobs.
export async function firstRun() {
  const chosen = () => location.hash.length > '#/'.length
  if (chosen()) return
  const [friends, jobs] = await Promise.all([get('friends'), get('jobs?limit=1')]).catch(() => []) // the view that is open says what is wrong
  if (!friends || chosen()) return
  if (!jobs.items.length && !friends.items.some((person) => person.state === 'friend')) location.replace('#/guide')
}

export function open(root) {
  const asks = requests()
  const near = nearby()
  get('status').then((node) => near.looks(node.mdns)).catch(complain)
  const share = sharing()
  const steps = STEPS.map((id) => ({id, mark: el('span', {class: 'step-mark', 'aria-hidden': 'true'}, STEPS.indexOf(id) + 1), said: el('span', {class: 'unseen'})}))
  const [first, second, third, fourth] = steps
  const step = (one, heading, ...children) => el('li', {class: 'step'}, one.mark, panel(`guide-${one.id}`, [heading, one.said], ...children))
  root.append(el('div', {class: 'view-head'}, el('h1', {}, 'Begin')),
    el('p', {class: 'soft intro'}, 'Machines that know each other lend one another their idle time. These steps make this one part of a swarm; none is needed to run a job here alone.'),
    asks.element,
    el('ol', {class: 'guide-steps'},
      step(first, 'Machines nearby', near.element),
      step(second, 'Or by an invite', el('div', {class: 'two'}, joining('guide-join'), inviting('guide-invite'))),
      step(third, 'Share this machine', share.element),
      step(fourth, 'Run a first job', el('p', {}, 'Drop a job file anywhere here, or fill in the form: ', el('a', {href: '#/jobs/new'}, 'new job'), '. The machines above take its blocks, and check one another.'))))

  const done = (one, is, words) => {
    one.mark.classList.toggle('done', is)
    say(one.said, is ? ` – done: ${words}` : '')
  }
  const ran = () => done(fourth, true, 'a job was run')
  const show = gently(() => {
    const friends = peers.filter((peer) => peer.friend && !waits(peer))
    near.show(peers)
    asks.show(peers)
    done(first, peers.some((peer) => peer.how === 'mdns' && peer.friend && !waits(peer)), 'a friend nearby')
    done(second, friends.length > 0, count(friends.length, "friend's machine", "friends' machines"))
  }, () => 200)
  let peers = []
  const closers = [
    onEvent('peers', (event) => { peers = event.peers; show() }),
    onEvent('machine', ({machine}) => { share.show(machine); done(third, machine.sharing, 'it is shared') }),
    onEvent('job', ran),
  ]
  get('jobs?limit=1').then((jobs) => jobs.items.length && ran()).catch(complain) // an event tells of those that change from now on
  show()
  return () => {
    show.stop()
    for (const close of closers) close()
  }
}

const NEARBY_MAX = 50 // in a large network the Network view finds the right one

function nearby() {
  const list = el('ul', {class: 'nearby'})
  const words = el('p', {class: 'soft', role: 'status'})
  const wait = () => (looking ? 'Looking for machines in this network. Start ctorrent node on another one, and it appears here by itself.'
    : 'This node does not look for machines nearby: it was started with --no-mdns, or its settings say so. To have it look: ctorrent config set mdns true, and start it again without --no-mdns. An invite works all the same.')
  let looks = ''
  let looking = true
  return {
    element: el('div', {}, words, list),
    looks(on) {
      looking = on
      if (!list.childElementCount) say(words, wait())
    },
    show(peers) {
      const here = peers.filter((peer) => peer.how === 'mdns' && !peer.wants_friendship).slice(0, NEARBY_MAX)
      say(words, here.length ? `${count(here.length, 'machine')} found in this network. Connect asks its person to be a friend; that person confirms there.` : wait())
      const now = JSON.stringify(here.map((peer) => [peer.node, peer.name, peer.friend, waits(peer), peer.connected]))
      if (now === looks) return
      looks = now
      fill(list, here.map((peer) => el('li', {data: {node: peer.node}},
        el('span', {}, el('strong', {}, called(peer)), el('span', {class: 'soft'}, ` ${relation(peer) === 'offline' ? 'not reached now' : latency(peer.latency_s)}`)),
        waits(peer) ? el('span', {class: 'soft'}, 'asked: confirm on that machine') : peer.friend ? el('span', {class: 'pill good'}, 'friend') : friendship(peer, () => { looks = '' }))))
    },
  }
}

function sharing() {
  const words = el('p', {role: 'status'})
  const on = el('button', {type: 'button', class: 'main', onclick: () => doing(on, () => put('machine/sharing', {on: true}), complain)}, 'Share it')
  return {
    element: el('div', {class: 'row'}, words, on, el('a', {href: '#/machine'}, 'what others may use')),
    show(machine) {
      on.hidden = machine.sharing
      say(words, machine.sharing ? 'It is shared. One click ends that, and frees it within two seconds.' : 'Friends’ jobs may use half of this machine, in a sandbox, while you allow it.')
    },
  }
}
