// SPDX-License-Identifier: Apache-2.0
//
// The guest's flat image, built by this project and made part of the program.
#include "tests/lab/vmm/machine.h"

__asm__(
    ".pushsection .rodata\n"
    ".balign 16\n"
    ".globl lockhost_lab_image_begin\n"
    "lockhost_lab_image_begin:\n"
    ".incbin \"" LOCKHOST_LAB_GUEST_IMAGE
    "\"\n"
    ".globl lockhost_lab_image_end\n"
    "lockhost_lab_image_end:\n"
    ".popsection\n");

extern "C" const std::byte lockhost_lab_image_begin[];
extern "C" const std::byte lockhost_lab_image_end[];

namespace lockhost::lab {

std::span<const std::byte> GuestImage() {
  return {lockhost_lab_image_begin, lockhost_lab_image_end};
}

}  // namespace lockhost::lab
