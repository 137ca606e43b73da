/**
 * A kernel that copies many small pieces between page-locked memory and the device's own: the GPU reads and writes slots itself, so that no thread of the
 * host touches their bytes, and a launch costs the same for two pieces as for a hundred. The copy engine takes microseconds a piece.
 *
 * Written in PTX, which the driver compiles in milliseconds for the GPU at hand: this package has no compiled code of its own. Its one parameter holds
 * `mostPieces` addresses to copy from, as many to copy to, and as many lengths. `blockIdx.y` is the piece, `blockIdx.x` and `threadIdx.x` the place in it.
 */

/** Pieces of one launch: what fits into the 4 kB of parameters that every driver takes. */
export const mostPieces = 168
export const moveKernelName = "glet_move"
export const threadsOfBlock = 256
/** Bytes that a thread copies at a time where both sides are aligned. */
const vectorBytes = 16
const mostBlocksOfPiece = 16

/** Blocks for each piece. */
export const blocksOfPiece = (longestBytes: number): number =>
  Math.max(1, Math.min(mostBlocksOfPiece, Math.ceil(longestBytes / (vectorBytes * threadsOfBlock))))

export const moveKernel = `.version 7.0
.target sm_70
.address_size 64

.visible .entry ${moveKernelName}(.param .align 8 .b8 pieces[${24 * mostPieces}])
{
  .reg .pred %done, %odd;
  .reg .b32 %a, %b, %c, %d;
  .reg .b16 %h;
  .reg .b64 %piece, %from, %to, %bytes, %i, %stride, %end, %at, %source, %target, %bits;

  mov.u32 %a, %ctaid.y;
  mul.wide.u32 %i, %a, 8;
  mov.u64 %piece, pieces;
  add.u64 %piece, %piece, %i;
  ld.param.u64 %from, [%piece];
  ld.param.u64 %to, [%piece+${8 * mostPieces}];
  ld.param.u64 %bytes, [%piece+${16 * mostPieces}];
  mov.u32 %a, %ctaid.x;
  mov.u32 %b, %ntid.x;
  mov.u32 %c, %tid.x;
  mad.lo.u32 %d, %a, %b, %c;
  cvt.u64.u32 %i, %d;
  mov.u32 %a, %nctaid.x;
  mul.lo.u32 %d, %a, %b;
  cvt.u64.u32 %stride, %d;

  or.b64 %bits, %from, %to;
  and.b64 %at, %bits, 15;
  setp.ne.u64 %odd, %at, 0;
  @%odd bra words;
  shl.b64 %at, %i, 4;
  shl.b64 %stride, %stride, 4;
  and.b64 %end, %bytes, -16;
each_vector:
  setp.ge.u64 %done, %at, %end;
  @%done bra rest;
  add.u64 %source, %from, %at;
  add.u64 %target, %to, %at;
  ld.global.v4.u32 {%a, %b, %c, %d}, [%source];
  st.global.v4.u32 [%target], {%a, %b, %c, %d};
  add.u64 %at, %at, %stride;
  bra each_vector;

words:
  and.b64 %at, %bits, 3;
  setp.ne.u64 %odd, %at, 0;
  mov.u64 %end, 0;
  @%odd bra rest;
  shl.b64 %at, %i, 2;
  shl.b64 %stride, %stride, 2;
  and.b64 %end, %bytes, -4;
each_word:
  setp.ge.u64 %done, %at, %end;
  @%done bra rest;
  add.u64 %source, %from, %at;
  add.u64 %target, %to, %at;
  ld.global.u32 %a, [%source];
  st.global.u32 [%target], %a;
  add.u64 %at, %at, %stride;
  bra each_word;

rest:
  mov.u32 %a, %nctaid.x;
  mov.u32 %b, %ntid.x;
  mul.lo.u32 %d, %a, %b;
  cvt.u64.u32 %stride, %d;
  add.u64 %at, %end, %i;
each_byte:
  setp.ge.u64 %done, %at, %bytes;
  @%done bra over;
  add.u64 %source, %from, %at;
  add.u64 %target, %to, %at;
  ld.global.u8 %h, [%source];
  st.global.u8 [%target], %h;
  add.u64 %at, %at, %stride;
  bra each_byte;
over:
  ret;
}
`
