"""A picture to paint on: what the browser shows and does, and what comes back. No Gradio here.

Gradio's own editor draws with WebGL, which takes seconds for a stroke where there is no GPU, and shows nothing on a tab
that was hidden. This is a canvas over a picture, for mouse, finger, pen and keys.
"""

import base64

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ebm_core import images

SIDE = 512  # pixels of the canvas, whatever the picture's
MAX_CHARACTERS = 10**6  # of what is painted, as a PNG in base64: it is some ten thousand
EMPTY = '<div class="chain-empty"><p>Drop or paste a picture here.</p></div>'
SHEET = """<div class="painter" data-keep="{keep}">
<div class="painter-sheet"><img class="{look}" alt="the picture to paint on" src="data:image/png;base64,{data}"></div>
<div class="painter-tools">
<label>Brush <input class="painter-size" type="range" min="12" max="160" value="56"></label>
<label><input class="painter-erase" type="checkbox"> Erase</label>
<button class="painter-clear">Clear</button>
</div></div>"""
# The canvas outlives the sheets that it lies on; what is painted is written into a hidden input after each stroke.
PAINT = (
    f"const side = {SIDE};"
    + """
const canvas = Object.assign(document.createElement('canvas'), {width: side, height: side, tabIndex: 0});
const pen = canvas.getContext('2d'), tool = name => element.querySelector(`.painter-${name}`);
canvas.setAttribute('role', 'img');
canvas.setAttribute('aria-label', 'Paint here. Arrow keys move the brush, the space bar paints.');
const cursor = Object.assign(document.createElement('span'), {className: 'painter-cursor'});
let at = null, down = false, painted = false;

function say() {
  const box = document.querySelector('.painter-mask textarea');
  if (!box) return;
  box.value = painted ? canvas.toDataURL('image/png') : '';
  box.dispatchEvent(new Event('input', {bubbles: true}));
}
function wipe() {
  pen.clearRect(0, 0, side, side);
  painted = false;
  say();
}
function stroke(to) {
  pen.globalCompositeOperation = tool('erase').checked ? 'destination-out' : 'source-over';
  painted ||= !tool('erase').checked;
  pen.lineWidth = Number(tool('size').value);
  pen.lineCap = pen.lineJoin = 'round';
  pen.strokeStyle = '#db2777';
  pen.beginPath();
  pen.moveTo((at ?? to).x, (at ?? to).y);
  pen.lineTo(to.x, to.y);
  pen.stroke();
  at = to;
}
function ring() {
  const to = at ?? {x: side / 2, y: side / 2}, share = value => `${100 * value / side}%`;
  const wide = share(Number(tool('size').value));
  Object.assign(cursor.style, {left: share(to.x), top: share(to.y), width: wide, height: wide});
}
function place(event) {
  const box = canvas.getBoundingClientRect();
  return {x: (event.clientX - box.left) * side / box.width, y: (event.clientY - box.top) * side / box.height};
}
canvas.addEventListener('pointerdown', event => {
  down = true;
  at = null;
  canvas.setPointerCapture(event.pointerId);
  stroke(place(event));
});
canvas.addEventListener('pointermove', event => {
  if (down) for (const one of event.getCoalescedEvents?.() ?? [event]) stroke(place(one));
});
for (const end of ['pointerup', 'pointercancel'])
  canvas.addEventListener(end, () => { if (down) say(); down = false; });
canvas.addEventListener('focus', ring);
canvas.addEventListener('keydown', event => {
  const moves = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], ' ': [0, 0]};
  const [x, y] = moves[event.key] ?? [];
  if (x === undefined) return;
  event.preventDefault();
  const to = at ?? {x: side / 2, y: side / 2}, bound = value => Math.min(side, Math.max(0, value));
  at = {x: bound(to.x + 16 * x), y: bound(to.y + 16 * y)};
  if (event.key === ' ') { stroke(at); say(); }
  ring();
});
// Files that are dropped here, or pasted while this is seen, go the way of the button that opens one.
function open(files) {
  const input = document.querySelector('.painter-opening input[type=file]'), sent = new DataTransfer();
  if (!input || !files.length) return;
  sent.items.add(files[0]);
  input.files = sent.files;
  input.dispatchEvent(new Event('change', {bubbles: true}));
}
element.addEventListener('dragover', event => event.preventDefault());
element.addEventListener('drop', event => {
  event.preventDefault();
  open(event.dataTransfer.files);
});
document.addEventListener('paste', event => { if (element.offsetParent) open(event.clipboardData.files); });
element.addEventListener('click', event => { if (event.target.closest('.painter-clear')) wipe(); });
function lay() {
  const sheet = tool('sheet');
  if (!sheet || sheet.contains(canvas)) return;
  if (!element.querySelector('.painter').dataset.keep) wipe();
  sheet.append(canvas, cursor);
}
new MutationObserver(lay).observe(element, {childList: true, subtree: true});
lay();
"""
)


def sheet(u8: Tensor, *, smooth: bool, keep: bool) -> str:
    """The picture ``u8 (C, H, W)`` to paint on, as HTML; what is painted already may be kept."""
    data = base64.b64encode(images.encode(images.to_pil(u8), "PNG")).decode()
    return SHEET.format(keep="1" if keep else "", look="chain-view smooth" if smooth else "chain-view", data=data)


def mask_of(painted: str, size: int) -> Tensor:
    """Where a PNG in a data URL, "" for nothing, is painted on: bool ``(size, size)``.

    Raises ValueError, in a sentence, for anything that the canvas does not send.
    """
    if not painted:
        return torch.zeros(size, size, dtype=torch.bool)
    if len(painted) > MAX_CHARACTERS:
        raise ValueError("what is painted is far too large a file: reload the page and paint anew")
    try:
        layer = images.read_own(base64.b64decode(painted.partition("base64,")[2], validate=True), "PNG", SIDE * SIDE)
        if layer.size != (SIDE, SIDE):
            raise ValueError(f"it has {layer.width}x{layer.height} pixels instead of {SIDE}x{SIDE}")
    except ValueError as error:
        raise ValueError(f"what is painted cannot be read ({error}): reload the page and paint anew") from error
    alpha = layer.getchannel("A")
    # Half of a pixel decides, so that a spot neither grows nor shrinks.
    return torch.from_numpy(np.array(alpha.resize((size, size), Image.Resampling.BOX)) >= 128)
