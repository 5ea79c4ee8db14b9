// What Gradio leaves to its pages: arrow keys, names for those who listen, words about what goes on.
(() => {
  const shown = element => element.offsetParent !== null;
  const tabs = () => [...document.querySelectorAll('[role=tablist] [role=tab]')];

  // Tabs are one stop of the Tab key, and arrows move between them (ARIA's pattern of tabs).
  document.addEventListener('keydown', event => {
    if (event.target.getAttribute?.('role') !== 'tab') return;
    const all = tabs(), at = all.indexOf(event.target);
    const to = {ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1}[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const next = all[(to + all.length) % all.length];
    next.click();
    next.focus();
  });

  // Gradio opens the list of a dropdown when it gets the focus; one that was closed by Escape has it already.
  function reopen(input) {
    if (input?.getAttribute('aria-expanded') !== 'false' || document.activeElement !== input) return;
    input.blur();
    input.focus();
  }
  document.addEventListener('pointerdown', event =>
    reopen(event.target.closest?.('.wrap')?.querySelector(':scope > .wrap-inner input[role=combobox]')));
  document.addEventListener('keydown', event => {
    if (event.key === 'ArrowDown' && event.target.matches?.('input[role=combobox]')) reopen(event.target);
  });

  // Ctrl+Enter begins the walk of the stage where the focus is, else the first; Escape stops what walks.
  function press(kind, from) {
    const buttons = [...document.querySelectorAll(`button.${kind}`)].filter(one => shown(one) && !one.disabled);
    (buttons.find(one => one.closest('.stage')?.contains(from)) ?? buttons[0])?.click();
  }
  document.addEventListener('keydown', event => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) press('start', event.target);
    const busy = document.querySelector('[role=combobox][aria-expanded=true], .preview');
    if (event.key === 'Escape' && !busy) press('stop', event.target);
  }, true);

  // A finished picture, or one of the history, goes to another tab as a file does that is opened there, with the settings
  // that are in it; a tab is built when it is first seen.
  const TARGETS = {
    edit: ['edit', '.painter-opening'],
    score: ['score', '#score-files'],
    pull: ['score', '.pulling-opening'],
    compose: ['compose', '#compose-restore'],
  };
  async function bytesOf(picture) {
    const [data, base64] = picture.src.split(';base64,');  // the guard's policy lets nobody fetch what is in the page
    return data.startsWith('data:') ? Uint8Array.from(atob(base64), character => character.charCodeAt(0))
      : await (await fetch(picture.src)).blob();
  }
  async function send(from, target) {
    const picture = from.querySelector('[data-testid=detailed-image]')
      ?? from.querySelector('.thumbnail-item img') ?? from.querySelector('.shelf-picture');
    if (!picture) return;
    const name = picture.dataset.file ?? decodeURIComponent(picture.src.split('/').pop()), files = new DataTransfer();
    files.items.add(new File([await bytesOf(picture)], name, {type: 'image/png'}));
    const [id, place] = TARGETS[target], tab = tabs().find(one => one.getAttribute('aria-controls') === `tab-${id}`);
    tab?.click();
    for (let looks = 0; looks < 100; looks++) {
      const input = document.querySelector(`${place} input[type=file]`);
      if (input) {
        input.files = files.files;
        input.dispatchEvent(new Event('change', {bubbles: true}));
        tab?.focus({preventScroll: true});
        input.closest('.stage').scrollIntoView({behavior: 'smooth'});
        return;
      }
      await new Promise(resolve => setTimeout(resolve, 100));
    }
  }
  document.addEventListener('click', event => {
    for (const target of Object.keys(TARGETS)) {
      const button = event.target.closest?.(`.send-to-${target}`);
      if (button) send(button.closest('.stage-record, .shelf li'), target);
    }
    for (const menu of document.querySelectorAll('.shelf-send[open]'))
      if (!menu.contains(event.target) || event.target.matches('button')) menu.open = false;
  });

  const REGIONS = {ask: 'What to make', picture: 'The picture', more: 'More settings', record: 'The finished walk'};
  const PLOTS = {
    'energy-plot': 'Plot: energy of each chain over the steps',
    'mix-plot': 'Plot: mean distance between two chains over the steps',
    'score-plot': 'Plot: the scores of your pictures among those of held-out pictures',
  };
  function name(element, role, label) {
    element.setAttribute('role', role);
    element.setAttribute('aria-label', label);
  }
  const place = part => part.closest('.stage') ?? part.querySelector('[id]') ?? part;
  function mend() {
    for (const tab of tabs()) {
      tab.tabIndex = tab.getAttribute('aria-selected') === 'true' ? 0 : -1;
      document.getElementById(tab.getAttribute('aria-controls'))?.setAttribute('aria-labelledby', tab.id);
    }
    for (const [kind, label] of Object.entries(REGIONS))
      for (const part of document.querySelectorAll(`.stage-${kind}:not([role])`))
        name(part, 'region', `${label}: ${place(part).id.replaceAll('-', ' ')}`);
    for (const [end, label] of Object.entries(PLOTS))
      for (const plot of document.querySelectorAll(`[id$="${end}"]:not([role])`)) name(plot, 'figure', label);
    for (const radios of document.querySelectorAll('fieldset:not([aria-label])')) {
      radios.setAttribute('aria-label', radios.querySelector('[data-testid=block-info]')?.textContent.trim() ?? '');
      const one = radios.querySelector('input[type=radio]')?.name;  // Gradio gives each a group of its own
      for (const radio of radios.querySelectorAll('input[type=radio]')) radio.name = one;
    }
    for (const empty of document.querySelectorAll('[aria-label="Empty value"]:not([role])'))
      name(empty, 'img', 'nothing yet');
    announce();
  }

  // A screen reader hears each change of what goes on at once, and the numbers beside it every ten seconds.
  const live = Object.assign(document.createElement('div'), {id: 'announcements', className: 'visually-hidden-live'});
  live.setAttribute('role', 'status');
  const said = new WeakMap();
  function announce() {
    for (const status of document.querySelectorAll('.live-status')) {
      const text = status.innerText.trim(), kind = text.split(' · ')[0], last = said.get(status);
      if (!text || !shown(status) || (last && last.text === text)) continue;
      if (last && (last.kind !== kind || Date.now() - last.at > 10_000)) live.textContent = text;
      else if (last) continue;
      said.set(status, {text, kind, at: Date.now()});
    }
  }

  let waiting = false, last = 0;  // at once, and then five times a second while a walk changes the page ten times
  function soon() {
    if (waiting) return;
    waiting = true;
    const go = () => { waiting = false; last = Date.now(); mend(); };
    const rest = last + 200 - Date.now();
    if (rest > 0) setTimeout(go, rest); else go();
  }
  function begin() {
    document.body.append(live);
    new MutationObserver(soon).observe(document.body, {childList: true, subtree: true, characterData: true,
      attributes: true, attributeFilter: ['aria-selected']});
    soon();
  }
  if (document.body) begin(); else document.addEventListener('DOMContentLoaded', begin);
})();
