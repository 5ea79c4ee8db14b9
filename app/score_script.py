"""The JavaScript of the Score tab: what happens in the browser only."""

from app.limits import PICTURES

# Pictures are pasted anywhere on the tab; files above the limit stay in the browser, so that the others still come.
# When files began to come and when all was cleared is noted for ``UPLOADED``.
TAKE = (
    f"const limit = {PICTURES.max_bytes};"
    + """
const zone = () => element.isConnected ? document.querySelector('#score-files') : null;
const tooLarge = files => [...files].some(file => file.size > limit);
const note = what => { if (zone()) zone().dataset[what] = performance.now(); };
function hand(files) {
  const input = zone().querySelector('input[type=file]'), sent = new DataTransfer(), kept = [];
  for (const file of files) file.size > limit ? kept.push([file.name, file.size]) : sent.items.add(file);
  if (kept.length) trigger('input', {kept});
  if (!input || !sent.files.length) return;
  input.files = sent.files;
  input.dispatchEvent(new Event('change', {bubbles: true}));
}
document.addEventListener('paste', event => {
  if (zone()?.offsetParent && event.clipboardData.files.length) hand(event.clipboardData.files);
});
document.addEventListener('change', event => {
  if (!zone()?.contains(event.target) || !event.target.files) return;
  note('begun');
  if (!tooLarge(event.target.files)) return;
  event.stopImmediatePropagation();
  hand(event.target.files);
}, true);
document.addEventListener('drop', event => {
  if (!zone()?.contains(event.target)) return;
  note('begun');
  if (!tooLarge(event.dataTransfer.files)) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  event.target.dispatchEvent(new DragEvent('dragleave', {bubbles: true}));
  hand(event.dataTransfer.files);
}, true);
document.addEventListener('click', event => { if (event.target.closest?.('#score-clear')) note('cleared'); }, true);
"""
)
# Files that were still on their way when all was cleared are not wanted any more.
UPLOADED = """(session, model, files) => {
  const {begun, cleared} = document.querySelector('#score-files').dataset;
  return [session, model, Number(cleared ?? 0) > Number(begun ?? 0) ? null : files];
}"""
TO_PULLING = "() => document.querySelector('#score-pulling').scrollIntoView({behavior: 'smooth'})"
PULL = """
element.addEventListener('click', event => {
  const button = event.target.closest('.score-pull');
  if (!button) return;
  document.querySelector('#score-pulling').scrollIntoView({behavior: 'smooth'});
  trigger('click', {number: Number(button.dataset.number)});
});
"""
