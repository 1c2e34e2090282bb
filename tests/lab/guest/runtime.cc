// SPDX-License-Identifier: Apache-2.0
//
// What the compiler takes for granted and a machine without libc lacks, and the
// first instructions of each vCPU.
#include <stddef.h>

extern "C" {

void* memset(void* to, int value, size_t bytes) {
  void* at = to;
  __asm__ volatile("rep stosb" : "+D"(at), "+c"(bytes) : "a"(value) : "memory");
  return to;
}

void* memcpy(void* to, const void* from, size_t bytes) {
  void* at = to;
  __asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(bytes)::"memory");
  return to;
}
}

// rdi: RunConfig, rsi: vCPU id; the VMM sets them, and the stack. Lies first in the image.
__asm__(
    ".pushsection .start, \"ax\", @progbits\n"
    ".globl LockhostLabStart\n"
    "LockhostLabStart:\n"
    "  xor %ebp, %ebp\n"
    "  call LockhostLabGuest\n"
    "  ud2\n"
    ".popsection\n");
