/**
 * A model's colour: the same everywhere on the page. Hues are far apart for neighbours, and every ten begin a little further on; names stand beside them.
 */
const hues = [255, 55, 165, 330, 90, 205, 25, 295, 135, 230]

export const hueOf = (names: ReadonlyArray<string>, name: string): number => {
  const at = names.indexOf(name)
  return at < 0 ? 0 : (hues[at % hues.length]! + 12 * Math.floor(at / hues.length)) % 360
}

/** For a style attribute. */
export const hueStyle = (names: ReadonlyArray<string>, name: string): { readonly "--hue": string } => ({ "--hue": String(hueOf(names, name)) })
