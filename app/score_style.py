"""The CSS and the JavaScript of the Score tab: how cards look, and what happens in the browser only."""

from app.limits import PICTURES

CSS = """
.score-limits { font-size: .85em; color: var(--body-text-color-subdued); margin: 0; }
.score-cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(250px, 1fr)); gap: 12px; }
.score-wide { grid-template-columns: repeat(auto-fill, minmax(min(100%, 340px), 1fr)); }
.score-card { border: 1px solid var(--border-color-primary); border-top: 4px solid #a5b4fc; border-radius: 8px;
  padding: 10px;
  background: var(--block-background-fill); display: flex; flex-direction: column; gap: 6px; min-width: 0; }
.score-card.score-unusual { border-top-color: #db2777; }
.score-card.score-usual { border-top-color: #059669; }
.score-card.score-low { border-top-color: #d97706; }
.score-card h4 { margin: 0; overflow-wrap: anywhere; font-size: .95em; }
.score-card p { margin: 0; }
.score-pictures { display: flex; gap: 8px; }
.score-picture { flex: 1; width: 0; min-width: 0; image-rendering: pixelated; border-radius: 4px;
  margin: 0 !important; }
.score-verdict { overflow-wrap: anywhere; }
.score-card .score-terms { width: 100%; font-size: .85em; font-variant-numeric: tabular-nums; margin: 0;
  border: none !important; }
.score-card .score-terms tr { border: none !important; }
.score-card .score-terms :is(td, th) { padding: 1px 4px; text-align: right; font-weight: 400; border: none !important; }
.score-card .score-terms td:first-child { text-align: left !important; }
.score-terms th, .score-notes, .score-legend { color: var(--body-text-color-subdued); }
.score-legend { font-size: .9em; margin: 0 0 8px; }
.score-notes { font-size: .8em; overflow-wrap: anywhere; }
.score-pull, .score-csv { border: 1px solid #c7d2fe; background: #eef2ff; color: #4338ca !important; cursor: pointer;
  border-radius: 6px; padding: 4px 10px; text-decoration: none !important; }
.score-pull { margin-top: auto; align-self: start; font-size: .85em; }
.score-csv { display: inline-block; }
#score-chain-picture :is(.chain-view, .chain-empty) { max-width: 420px; }
#score-gallery { max-width: 240px; }
#score-table { contain: inline-size; }
"""
# Pictures are pasted anywhere on the tab; files above the limit stay in the browser, so that the others still come.
TAKE = (
    f"const limit = {PICTURES.max_bytes};"
    + """
const zone = () => element.isConnected ? document.querySelector('#score-files') : null;
const tooLarge = files => [...files].some(file => file.size > limit);
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
  if (!zone()?.contains(event.target) || !event.target.files || !tooLarge(event.target.files)) return;
  event.stopImmediatePropagation();
  hand(event.target.files);
}, true);
document.addEventListener('drop', event => {
  if (!zone()?.contains(event.target) || !tooLarge(event.dataTransfer.files)) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  event.target.dispatchEvent(new DragEvent('dragleave', {bubbles: true}));
  hand(event.dataTransfer.files);
}, true);
"""
)
PULL = """
element.addEventListener('click', event => {
  const button = event.target.closest('.score-pull');
  if (!button) return;
  document.querySelector('#score-pulling').scrollIntoView({behavior: 'smooth'});
  trigger('click', {number: Number(button.dataset.number)});
});
"""
