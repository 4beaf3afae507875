// One film holds before, after and what changed below each other, so that
// nothing can run out of step; the canvas shows parts of it.
const find = (what) => element.querySelector(what);
const viewer = find('.viewer'), canvas = find('canvas');
const [play, seek, wipe] = [find('.play'), find('.seek'), find('.wipe input')];
const pen = canvas.getContext('2d');
const film = document.createElement('video');
film.muted = film.loop = film.playsInline = true;
let times = [], wanted = 0;

const last = () => times.length - 1;
// the middle of a frame: at its edge, rounding may show the one before
const middle = (n) => {
  const end = n < last() ? times[n + 1] : film.duration;
  return Math.min((times[n] + end) / 2, film.duration - 1e-3);
};
const at = (time) => {
  let n = 0;
  while (n < last() && times[n + 1] <= time + 1e-3) n += 1;
  return n;
};
const draw = () => {
  const { width, height } = canvas, edge = (width * wipe.value) / 100;
  const panel = find('.changed').checked ? 2 : 1;
  const part = (n, x, w) => w > 0 && pen.drawImage(
    film, x, n * height, w, height, x, 0, w, height);
  part(0, 0, edge);
  part(panel, edge, width - edge);
  viewer.style.setProperty('--edge', `${wipe.value}%`);
};
const number = (n) => {
  seek.value = n;
  find('.number').textContent = `frame ${n + 1} of ${times.length}`;
  viewer.dataset.frame = n;
};
const listen = () => film.requestVideoFrameCallback((now, frame) => {
  // what is shown tells the number, not what was asked for
  number(at(frame.mediaTime));
  draw();
  listen();
});
const label = () => { play.textContent = film.paused ? 'Play' : 'Pause'; };
const go = (n) => {
  film.pause();
  wanted = (n + times.length) % times.length;
  film.currentTime = middle(wanted);
};
const toggle = () => (film.paused ? film.play() : film.pause());
const step = (by) => go((film.seeking ? wanted : Number(seek.value)) + by);
const show = () => {
  const made = props.value;
  viewer.hidden = !made;
  film.pause();
  if (!made) return;
  times = made.times.map((t) => t / 1000);
  seek.max = last();
  find('.controls').classList.toggle('still', last() === 0);
  find('.legend').textContent = made.legend;
  film.src = made.source;
};

film.onloadeddata = () => {
  canvas.width = film.videoWidth;
  canvas.height = film.videoHeight / 3;
  viewer.style.setProperty('--ratio', canvas.width / canvas.height);
  number(0);
  draw();
  viewer.dataset.ready = film.src;
  film.playbackRate = Number(find('.speed').value);
  if (last()) film.play();
};
film.onplay = film.onpause = label;
film.onseeked = draw;
wipe.oninput = draw;
play.onclick = toggle;
seek.oninput = () => go(Number(seek.value));
find('.back').onclick = () => step(-1);
find('.next').onclick = () => step(1);
find('.speed').onchange = (event) => {
  film.playbackRate = Number(event.target.value);
};
find('.changed').onchange = () => {
  find('.legend').hidden = !find('.changed').checked;
  find('.tag.after').textContent =
    find('.changed').checked ? 'changed' : 'after';
  draw();
};
const pull = (event) => {
  const box = canvas.getBoundingClientRect();
  wipe.value = (100 * (event.clientX - box.left)) / box.width;
  draw();
};
canvas.onpointerdown = (event) => {
  canvas.setPointerCapture(event.pointerId);
  pull(event);
};
canvas.onpointermove = (event) => event.buttons && pull(event);
canvas.onkeydown = (event) => {
  const keys = {
    ' ': toggle,
    ArrowLeft: () => step(-1),
    ArrowRight: () => step(1),
    c: () => find('.changed').click(),
  };
  if (!keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
};
listen();
watch('value', show);
show();
