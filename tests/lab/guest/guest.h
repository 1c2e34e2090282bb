// SPDX-License-Identifier: Apache-2.0
//
// The lab guest: the lock loop, alone in its machine. Freestanding C++ that runs as
// 64-bit guest code at CPL 3 (tests/lab/vmm/kvm_vcpu.h), or in a plain thread.
#ifndef LOCKHOST_TESTS_LAB_GUEST_GUEST_H_
#define LOCKHOST_TESTS_LAB_GUEST_GUEST_H_

#include "tests/lab/abi/lab_abi.h"

extern "C" {

// Where every vCPU starts. Parks, runs what `config` says, parks again; returns only
// when Hypercall() says so.
void LockhostLabGuest(const lockhost::lab::RunConfig* config, uint64_t vcpu);
}

#endif  // LOCKHOST_TESTS_LAB_GUEST_GUEST_H_
