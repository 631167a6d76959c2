// Where does each panel stand? As in the registry, but for holes: what the board does not draw leaves none.
//
// Panels that stand beside each other form a band. A band of equals fills the width in proportion; in any other band each panel grows into
// what is free beside and below it.

const WIDTH = 24;

/** Pairs of panel and place (`x`, `y`, `w`, `h` in cells of the grid), in reading order. */
export function placed(panels) {
  const sorted = [...panels].sort((a, b) => a.at[1] - b.at[1] || a.at[0] - b.at[0]);
  const found = [];
  let y = 0;
  for (const band of bandsOf(sorted)) {
    const places = equals(band) ? filled(band) : grown(band);
    for (const [panel, place] of places) found.push([panel, { ...place, y: place.y + y }]);
    y += Math.max(...places.map(([, place]) => place.y + place.h));
  }
  return found;
}

function bandsOf(sorted) {
  const bands = [];
  let bottom = -1;
  for (const panel of sorted) {
    const [, y, , h] = panel.at;
    if (y >= bottom) bands.push([]);
    bands.at(-1).push(panel);
    bottom = Math.max(bottom, y + h);
  }
  return bands;
}

const equals = (band) => band.every((panel) => panel.at[1] === band[0].at[1] && panel.at[3] === band[0].at[3]);

function filled(band) {
  const total = band.reduce((sum, panel) => sum + panel.at[2], 0);
  let done = 0;
  return band.map((panel) => {
    const x = Math.round((WIDTH * done) / total);
    done += panel.at[2];
    return [panel, { x, y: 0, w: Math.round((WIDTH * done) / total) - x, h: panel.at[3] }];
  });
}

function grown(band) {
  const top = band[0].at[1];
  const places = band.map((panel) => [panel, { x: panel.at[0], y: panel.at[1] - top, w: panel.at[2], h: panel.at[3] }]);
  const bottom = Math.max(...places.map(([, place]) => place.y + place.h));
  const free = (x, y, w, h, own) => x >= 0 && x + w <= WIDTH && y >= 0 && y + h <= bottom && places.every(([, other]) => other === own || x + w <= other.x || other.x + other.w <= x || y + h <= other.y || other.y + other.h <= y);
  for (const [, place] of places) {
    while (free(place.x + place.w, place.y, 1, place.h, place)) place.w += 1;
    while (free(place.x - 1, place.y, 1, place.h, place)) [place.x, place.w] = [place.x - 1, place.w + 1];
    while (free(place.x, place.y + place.h, place.w, 1, place)) place.h += 1;
    while (free(place.x, place.y - 1, place.w, 1, place)) [place.y, place.h] = [place.y - 1, place.h + 1];
  }
  return places.sort(([, a], [, b]) => a.y - b.y || a.x - b.x);
}
