// Before the first paint, so that a person's chosen colours never flash: "light", "dark", or as the system says.
try {
  const chosen = localStorage.getItem('ct-theme')
  if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen
} catch { /* a browser that keeps nothing follows the system */ }
