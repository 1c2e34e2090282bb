// SPDX-License-Identifier: Apache-2.0
//
// The guest's way to the VMM: a port in a microVM, a function call where threads
// stand in for vCPUs.
#ifndef LOCKHOST_TESTS_LAB_GUEST_HYPERCALL_H_
#define LOCKHOST_TESTS_LAB_GUEST_HYPERCALL_H_

#include "tests/lab/abi/lab_abi.h"

namespace lockhost::lab {

#ifdef LOCKHOST_LAB_FREESTANDING

// False: leave the guest (never, in a microVM: the VMM just stops running it).
inline bool Hypercall(Port port) {
  __asm__ volatile("outl %0, %1" ::"a"(0u), "d"(static_cast<uint16_t>(port)) : "memory");
  return true;
}

#else

// Provided by the VMM's stand-in (tests/lab/vmm/thread_machine.cc).
bool Hypercall(Port port);

#endif

}  // namespace lockhost::lab

#endif  // LOCKHOST_TESTS_LAB_GUEST_HYPERCALL_H_
