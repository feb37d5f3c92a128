// Sliders and histograms of the kept statistics; fractions stand on a logarithmic axis.

const LEAST = 1e-4; // the left end of the axis, where 0 stands too
const STEPS = 1000; // of a slider
const BINS = 60;
export const COLOURS = ["#4c5566", "#58a6ff", "#f0a030", "#a78bca", "#c98080"];

export function shareAt(step) {
  return step <= 0 ? 0 : Number((LEAST * (1 / LEAST) ** (step / STEPS)).toPrecision(3));
}

export function stepOf(share) {
  if (share <= LEAST) return share > 0 ? 1 : 0;
  return Math.round((STEPS * Math.log(share / LEAST)) / Math.log(1 / LEAST));
}

const at = (share) => stepOf(share) / STEPS; // 0..1 on the axis

export function drawFractions(canvas, state, thresholds) {
  const bins = emptyBins();
  for (let n = 0; n < state.count; n++) {
    if (state.p99[n] !== null) bins[binOf(state.fraction[n])][state.judge(n, thresholds)]++;
  }
  draw(canvas, bins, [[thresholds[0], COLOURS[1]], [thresholds[1], COLOURS[2]]]);
}

export function drawBlobs(canvas, state, thresholds) {
  const bins = emptyBins();
  for (let n = 0; n < state.count; n++) {
    if (state.p99[n] !== null && state.fraction[n] >= thresholds[1]) {
      bins[binOf(state.blob[n])][state.judge(n, thresholds)]++;
    }
  }
  draw(canvas, bins, [[thresholds[2], COLOURS[2]]]);
}

const emptyBins = () => Array.from({ length: BINS }, () => [0, 0, 0, 0, 0]);
const binOf = (share) => Math.min(BINS - 1, Math.floor(at(share) * BINS));

function draw(canvas, bins, lines) {
  const context = canvas.getContext("2d");
  const { width, height } = canvas;
  const highest = Math.max(1, ...bins.map((bin) => bin[1] + bin[2] + bin[3]));
  const tall = (count) => (height - 8) * Math.sqrt(count / highest); // rare shares stay visible
  context.clearRect(0, 0, width, height);
  bins.forEach((bin, place) => {
    const total = bin[1] + bin[2] + bin[3];
    let bottom = height;
    for (const label of [1, 3, 2]) {
      const part = total ? (tall(total) * bin[label]) / total : 0;
      context.fillStyle = COLOURS[label];
      context.fillRect((place * width) / BINS + 1, bottom - part, width / BINS - 2, part);
      bottom -= part;
    }
  });
  for (const [share, colour] of lines) {
    context.fillStyle = colour;
    context.fillRect(Math.min(width - 3, at(share) * width), 0, 3, height);
  }
}
