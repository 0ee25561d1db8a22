// Friendship, invites and joining: the buttons of the Network view, a peer's card and the first-run guide.
import {complain, del, get, post, toast} from './api.js'
import {el, fill, say} from './dom.js'
import {called, doing, wordsOf} from './parts.js'
import {short} from './words.js'

const button = (text, work, extra = {}) => el('button', {type: 'button', ...extra, onclick: (event) => doing(event.currentTarget, work, complain)}, text)

// Makes a peer's owner a friend here, and asks for the same there.
export async function befriend(peer) {
  const answer = await post('friends', {who: peer.owner || peer.node})
  toast(peer.wants_friendship ? `${called(peer)} is a friend now.` : answer.told ? `${called(peer)} was asked. Its person confirms there.` : `${called(peer)} is a friend here, and could not be told yet.`)
}

async function forget(peer, words) {
  await del(`friends/${encodeURIComponent(peer.owner)}`)
  toast(words)
}

// What can be done about a peer's friendship now; `after` is called when it was.
export function friendship(peer, after) {
  const then = (work) => async () => {
    await work()
    after?.()
  }
  const who = called(peer)
  if (peer.wants_friendship) {
    return el('span', {class: 'row'}, button('Accept', then(() => befriend(peer)), { class: 'main', 'aria-label': `Accept ${who} as a friend` }), button('Decline', then(() => forget(peer, `${who} was declined.`)), { 'aria-label': `Decline ${who}` }))
  }
  if (peer.friend) return button('Unfriend', then(() => forget(peer, `${who} is no friend any more.`)), { 'aria-label': `Unfriend ${who}` })
  return button('Connect', then(() => befriend(peer)), { class: 'main', 'aria-label': `Connect with ${who}: ask to be friends` })
}

// A form for an invite, or an address with /p2p/ID.
export function joining(id) {
  const answer = el('p', {class: 'answer', role: 'status'})
  const field = el('textarea', {id, rows: 3, required: true, spellcheck: 'false', autocomplete: 'off', maxlength: 20000, placeholder: 'ctorrent node --join …'})
  const go = el('button', {type: 'submit', class: 'main'}, 'Join')
  const form = el('form', {class: 'join'}, el('label', {for: id}, 'An invite that somebody sent you'), field, el('div', {class: 'row'}, go), answer)
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    say(answer, 'Joining…')
    doing(go, async () => {
      const found = await post('peers', {address: bare(field.value)})
      field.value = ''
      say(answer, `Joined ${called(found)}.`)
    }, (error) => say(answer, wordsOf(error)))
  })
  return form
}

// People paste the whole line that they were sent; the invite is what follows --join, or the longest word.
export function bare(text) {
  const words = text.trim().split(/\s+/)
  const at = words.indexOf('--join')
  return at >= 0 && words[at + 1] ? words[at + 1] : words.reduce((a, b) => (b.length > a.length ? b : a), '')
}

const LASTING = [['an hour', 3600], ['a day', 86400], ['a week', 604800]]

// A form that makes an invite, and shows it with its QR code.
export function inviting(id) {
  const uses = el('input', { id: `${id}-uses`, type: 'number', min: 1, max: 1000, value: 1, required: true })
  const valid = el('select', { id: `${id}-valid` }, LASTING.map(([words, seconds]) => el('option', {value: seconds, selected: seconds === 86400}, words)))
  const made = el('div', {class: 'invite', hidden: true})
  const answer = el('p', {class: 'answer', role: 'status'})
  const go = el('button', {type: 'submit'}, 'Make an invite')
  const form = el('form', {class: 'inviting'}, el('strong', {}, 'An invite of yours, for others'),
    el('div', {class: 'fields'}, el('label', {for: `${id}-uses`}, 'For how many machines'), uses, el('label', {for: `${id}-valid`}, 'valid for'), valid), go, answer, made)
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    doing(go, async () => {
      const found = await post('invites', {uses: Number(uses.value), valid_s: Number(valid.value)})
      made.hidden = false
      fill(made, await invite(found.invite, id))
      say(answer, `Whoever has it joins as a friend: send it to ${Number(uses.value) === 1 ? 'one person' : 'people'} you trust.`)
    }, (error) => say(answer, wordsOf(error)))
  })
  return form
}

async function invite(text, id) {
  const line = `ctorrent node --join ${text}`
  const field = el('textarea', { id: `${id}-line`, rows: 4, readonly: true, spellcheck: 'false', onfocus: (event) => event.target.select() })
  field.value = line
  const copy = button('Copy', async () => {
    await navigator.clipboard.writeText(line)
    toast('Copied.')
  })
  const parts = [el('label', { for: `${id}-line` }, 'To type on the other machine, or to paste in its page'), field, el('div', {class: 'row'}, copy)]
  const code = await drawn(text)
  return code ? [...parts, code] : parts
}

// The QR code of an invite, of capitals, which take half the room; drawn from its rows of 0 and 1, null where the node does not make one.
async function drawn(text) {
  let rows
  try {
    rows = (await get(`invites/code?text=${encodeURIComponent(text.toUpperCase())}`)).rows
  } catch {
    return null // an invite of many addresses is too long for a code: its line is there
  }
  const edge = 4 // modules of white around it, as the standard asks
  const scale = 3
  const canvas = el('canvas', {class: 'qr', role: 'img', 'aria-label': 'The invite as a QR code', width: (rows.length + 2 * edge) * scale, height: (rows.length + 2 * edge) * scale})
  const pen = canvas.getContext('2d')
  pen.fillStyle = '#fff'
  pen.fillRect(0, 0, canvas.width, canvas.height)
  pen.fillStyle = '#000'
  rows.forEach((row, y) => [...row].forEach((dot, x) => dot === '1' && pen.fillRect((x + edge) * scale, (y + edge) * scale, scale, scale)))
  return canvas
}

// Those who ask to be friends, kept as they come and go. -> {element, show(peers)}
export function requests() {
  const list = el('ul', {class: 'asks'})
  const element = el('div', {class: 'panel asking', role: 'status', hidden: true}, el('h2', {}, 'Asked to be your friend'), list)
  let shown = ''
  return {
    element,
    show(peers) {
      const seen = new Set()
      const asking = peers.filter((peer) => peer.wants_friendship && !seen.has(peer.owner) && seen.add(peer.owner))
      const namesake = (peer) => peers.some((one) => one.friend && one.name && one.name === peer.name && one.owner !== peer.owner) // a name is what its person typed
      const now = asking.map((peer) => `${peer.owner}${peer.name}${namesake(peer)}`).join()
      if (now === shown) return
      shown = now
      element.hidden = asking.length === 0
      fill(list, asking.map((peer) => el('li', {}, el('span', {}, el('strong', {}, called(peer)), ' ', el('code', {class: 'soft', title: peer.owner}, short(peer.owner)), ' would like its jobs to run here, and yours there.',
        namesake(peer) && el('strong', {class: 'alarm'}, ' It has the name of a friend of yours, and is somebody else.')), friendship(peer))))
    },
  }
}

