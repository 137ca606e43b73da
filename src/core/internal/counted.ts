/** A number of things, in words: `1 glet`, `2 glets`. */
export const counted = (count: number, thing: string): string => `${count} ${thing}${count === 1 ? "" : "s"}`
