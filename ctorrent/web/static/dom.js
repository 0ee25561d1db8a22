// Elements from data. Every text becomes a text node: nothing that came from a network is ever read as markup.

// What turns the direction of, or hides, the text beside it: a stranger's name could otherwise read as another's.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\u061c]/g

export function printable(text, max = 20000) {
  const plain = String(text ?? '')
  return (plain.length > max ? plain.slice(0, max) + ' …' : plain).replace(UNSEEN, '\ufffd')
}

// el('p', {class: 'soft', onclick: f, 'aria-label': 'x'}, 'text', child, [more], null)
export function el(tag, props = {}, ...children) {
  const made = document.createElement(tag)
  for (const [name, value] of Object.entries(props)) set(made, name, value)
  return add(made, ...children)
}

const SVG = 'http://www.w3.org/2000/svg'
export function svg(tag, props = {}, ...children) {
  const made = document.createElementNS(SVG, tag)
  for (const [name, value] of Object.entries(props)) set(made, name, value)
  return add(made, ...children)
}

function set(made, name, value) {
  if (value === null || value === undefined || value === false) return
  if (name.startsWith('on')) made.addEventListener(name.slice(2), value)
  else if (name === 'value' || name === 'checked' || name === 'disabled' || name === 'hidden') made[name] = value
  else if (name === 'data') Object.assign(made.dataset, value)
  else made.setAttribute(name, value === true ? '' : printable(value))
}

export function add(parent, ...children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue
    parent.append(child instanceof Node ? child : document.createTextNode(printable(child)))
  }
  return parent
}

export function fill(parent, ...children) {
  parent.replaceChildren()
  return add(parent, ...children)
}

// Writes only what changed: no layout, and no second word to a screen reader.
export function say(element, text) {
  const plain = printable(text)
  if (element.textContent !== plain) element.textContent = plain
}

export function announce(text) {
  say(document.getElementById('said'), text)
}

// A question in a dialog of the browser's own kind: focus stays inside, Escape says no. -> true or false
export function ask(question, {detail = '', yes = 'Yes', no = 'No', grave = false} = {}) {
  return new Promise((resolve) => {
    const dialog = el('dialog', {class: 'ask', 'aria-labelledby': 'ask-title'},
      el('form', {method: 'dialog'},
        el('h2', {id: 'ask-title'}, question), detail && el('p', {}, detail),
        el('div', {class: 'buttons'},
          el('button', {value: 'no', class: 'quiet'}, no), el('button', {value: 'yes', class: grave ? 'grave' : 'main'}, yes))))
    dialog.addEventListener('close', () => { dialog.remove(); resolve(dialog.returnValue === 'yes') })
    document.body.append(dialog)
    dialog.showModal()
  })
}

// Colours of the style sheet as the canvas wants them: light-dark() resolved for the present scheme.
export function colours(names) {
  const probe = el('span', {hidden: true})
  document.body.append(probe)
  const found = {}
  for (const name of names) {
    probe.style.color = `var(--${name})`
    found[name] = getComputedStyle(probe).color
  }
  probe.remove()
  return found
}

// Calls back when the colours change: by the toggle here, or by the system. -> stop()
export function onScheme(callback) {
  const system = matchMedia('(prefers-color-scheme: dark)')
  const watch = new MutationObserver(callback)
  watch.observe(document.documentElement, {attributes: true, attributeFilter: ['data-theme']})
  system.addEventListener('change', callback)
  return () => { watch.disconnect(); system.removeEventListener('change', callback) }
}
