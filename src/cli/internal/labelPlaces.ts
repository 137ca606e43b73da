/** Where the names of points in a picture stand, so that none lies over another. Pure. */

/** A point, and how wide its name is. */
export interface Labelled {
  readonly x: number
  readonly y: number
  readonly width: number
}

interface Place {
  /** Left end of the name's line of text, and its height. */
  readonly x: number
  readonly y: number
}

export const labelHeight = 12
const gap = 8
/** Rows above and below a point that are tried. */
const mostRows = 24

const overlap = (a: Place & { readonly width: number }, b: Place & { readonly width: number }): boolean =>
  a.x < b.x + b.width && b.x < a.x + a.width && Math.abs(a.y - b.y) < labelHeight

/**
 * A place for each, in order: to the right of its point, else to its left, else the nearest row above or below where there is room between `left` and
 * `right`. Where there is none it stands to the right, over others.
 */
export const labelPlaces = (points: ReadonlyArray<Labelled>, left: number, right: number): ReadonlyArray<Place> => {
  const taken: Array<Place & { readonly width: number }> = []
  return points.map(({ width, x, y }) => {
    const fits = (place: Place): boolean =>
      place.x >= left && place.x + width <= right && !taken.some((other) => overlap(other, { ...place, width })) &&
      // Nor over the points themselves.
      !points.some((point) => point.x + 5 > place.x && point.x - 5 < place.x + width && Math.abs(point.y - place.y) < labelHeight / 2 + 4)
    let found: Place | undefined
    for (let row = 0; row <= mostRows && found === undefined; row++) {
      const candidates = [1, -1].flatMap((side): ReadonlyArray<Place> => {
        const at = y + side * row * labelHeight
        return [{ x: x + gap, y: at }, { x: x - gap - width, y: at }]
      })
      found = candidates.find(fits)
    }
    const place = found ?? { x: x + gap, y }
    taken.push({ ...place, width })
    return place
  })
}
