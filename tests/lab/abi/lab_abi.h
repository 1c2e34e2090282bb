// SPDX-License-Identifier: Apache-2.0
//
// What the VMM and the lab guest share: hypercall ports, the description of a run,
// and each vCPU's block of results. Addresses are `LabAddress`: guest-physical in a
// microVM (which is identity-mapped), plain pointers where threads stand in for vCPUs.
//
// Who writes: the VMM writes RunConfig, and clears the rest, while every vCPU is
// parked; during a run it writes `stop` alone. The guest writes everything else. The
// VMM believes nothing it reads here.
#ifndef LOCKHOST_TESTS_LAB_ABI_LAB_ABI_H_
#define LOCKHOST_TESTS_LAB_ABI_LAB_ABI_H_

#include <stdint.h>

#include "client/page/hint_page.h"
#include "client/page/report_page.h"
#include "tests/lab/abi/guest_clock.h"
#include "tests/lab/abi/histogram.h"

namespace lockhost::lab {

inline constexpr uint32_t kMaxVcpus = 512;
inline constexpr uint32_t kCacheLine = 64;

using LabAddress = uint64_t;

// Ports (x86 OUT, value ignored); arguments lie in the vCPU's own HypercallArgs.
enum class Port : uint16_t {
  kPark = 0x510,   // sleep in the VMM until the next run
  kWait = 0x511,   // futex wait: address, expected, timeout_ns; value = 1 if woken
  kKick = 0x512,   // futex wake of one: address; value = 1 if one slept
  kRing = 0x513,   // futex wake of the guest agent on the report page's bell
  kPanic = 0x514,  // message: ends this vCPU
  kClock = 0x515,  // value = the guest's TSC now; lets the VMM compare it with its own
};
inline constexpr uint16_t kFirstPort = static_cast<uint16_t>(Port::kPark);

struct HypercallArgs {
  LabAddress address;
  uint64_t timeout_ns;
  uint64_t value;
  uint32_t expected;
  uint32_t reserved;
  char message[96];
};

enum class Subject : uint32_t {
  kTestAndSet = 0,
  kTicket = 1,
  kSpinThenFutex = 2,
  kLockhostNoHints = 3,
  kLockhostGrpc = 4,
  kLockhostDirect = 5,
  kLockhostBoost = 6,  // kLockhostDirect, and the host runs preempted holders at once
  kMcs = 7,
  kPvTicket = 8,
  kPvQspinlock = 9,
  kBusy = 10,  // no lock: every vCPU computes; for calibration, and to be seen by the agent
};
inline constexpr uint32_t kSubjects = 10;     // those that lock
inline constexpr uint32_t kDemoSubjects = 7;  // of these, the first: in the demo's table

// One run. Read-only for the guest.
struct alignas(kCacheLine) RunConfig {
  uint32_t stop;  // 1: leave after the next unlock
  uint32_t reserved0[15];

  Subject subject;
  uint32_t vcpus;
  uint64_t critical_loops;
  uint64_t gap_loops;
  uint64_t critical_ns;  // what critical_loops take
  GuestClock clock;
  // An observation counts for at most so long: the waiter itself may lose its CPU.
  uint64_t observation_cap_ticks;
  // A waiter that looked this lately was watching.
  uint64_t watching_ticks;
  LabAddress shared;   // SharedArea
  LabAddress oracle;   // the VM's own vCPU table, or 0
  LabAddress lease;    // hint page with the lease, or 0
  LabAddress hints;    // hint page with the slots, or 0
  LabAddress reports;  // or 0
  uint32_t oracle_slots;
  uint32_t hint_slots;
  uint32_t report_slots;
  uint32_t reserved1;
  LabAddress vcpu_blocks;  // VcpuBlock[vcpus]
};

// Tickets that may be waited for at once; a power of two.
inline constexpr uint32_t kTicketRing = 512;
static_assert(kTicketRing >= kMaxVcpus);

// A vCPU's place in a queue of waiters (guest/queue_subjects.h).
struct alignas(kCacheLine) QueueNode {
  uint32_t next;    // vCPU behind it, plus 1; 0: none yet
  uint32_t waits;   // 1: not yet at the head
  uint32_t state;   // of pv-qspinlock's waiter
  uint32_t wanted;  // ticket for which pv-ticket's waiter sleeps, plus 1
  uint32_t kicked;  // 1: a kick that no sleep has ended with yet
};

// What the vCPUs share. Apart from the locks' own words nothing here is part of a lock.
struct SharedArea {
  alignas(128) uint32_t lock_word;
  uint32_t ticket_next;
  uint32_t ticket_serving;
  uint32_t ticket_sleepers;
  uint32_t queue_head;  // the vCPU that pv-qspinlock's unlock wakes

  // Mutual exclusion: both are incremented inside, one at entry and one at the end.
  alignas(128) volatile uint64_t entered;
  volatile uint64_t left;

  // Which vCPU drew a ticket; whom the others wait for when it is served.
  alignas(128) uint32_t ticket_vcpu[kTicketRing];

  // Who took a queue lock last; whom the others wait for.
  alignas(128) uint32_t queue_holder;
  QueueNode queue_nodes[kMaxVcpus];

  // Latest change of each vCPU whose delivery has been counted: its revision (direct page), or
  // the time of the stop (gRPC).
  alignas(128) uint64_t counted_revision[kMaxVcpus];
};

// What one vCPU saw in one run. Times in TSC ticks unless the name says otherwise.
struct VcpuStats {
  uint64_t acquisitions;
  uint64_t exclusion_errors;
  uint64_t unknown_subject;
  uint64_t last_seen_ns;  // kBusy: the guest's clock, stamped at every turn

  uint64_t spins;
  uint64_t spin_ticks;         // between two looks at a holder, capped
  uint64_t wasted_spin_ticks;  // of these, while the holder was not running
  uint64_t parks;
  uint64_t false_parks;  // parked though the holder ran and still held
  uint64_t park_ticks;
  uint64_t kicks;

  // Time in which this vCPU waited for a holder whose state the oracle told, by what
  // the page said meanwhile.
  uint64_t judged_ticks;
  uint64_t agreed_ticks;
  uint64_t false_running_ticks;    // page RUNNING, truth something else
  uint64_t false_preempted_ticks;  // truth RUNNING, page says it does not run
  uint64_t no_hint_ticks;          // page silent

  Histogram acquire;      // from the first attempt to the acquisition
  Histogram delivery_ns;  // change of run state to page (gRPC) or to first sight (direct)
};

struct alignas(4096) VcpuBlock {
  HypercallArgs args;
  int64_t tsc_delta;  // host TSC - this vCPU's TSC
  alignas(kCacheLine) VcpuStats stats;
};

}  // namespace lockhost::lab

#endif  // LOCKHOST_TESTS_LAB_ABI_LAB_ABI_H_
