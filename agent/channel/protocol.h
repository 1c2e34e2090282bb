/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's channel: SOCK_SEQPACKET unix socket, one fixed-size record a
 * packet, file descriptors by SCM_RIGHTS. Host-local, same build on both ends
 * (`version` is checked), so plain structs; little-endian, natural alignment.
 *
 * Who may ask for what is decided by SO_PEERCRED alone:
 *   - root and the configured server uid may send kSubscribe and then hear of
 *     every VM; the table fds they get cannot be written through by anybody;
 *   - any process may speak about VMs of its own pid: ask for its own table
 *     (kOwnTable), say where its guest's report page is mapped in its address
 *     space (kReportRegion), register its own threads as vCPUs where KVM cannot
 *     show them (kRegisterVcpus);
 *   - root may switch boosts on and off (kSetBoost).
 * Subscribers get, besides, a socket of the same kind into the booster itself: what is
 * asked there (kBoostVcpu) is urgent, and the rest of the agent is not.
 * A record of another size, type or version closes the connection.
 */
#ifndef LOCKHOST_AGENT_CHANNEL_PROTOCOL_H_
#define LOCKHOST_AGENT_CHANNEL_PROTOCOL_H_

#include <cstdint>

namespace lockhost::agent {

inline constexpr uint32_t kChannelVersion = 4;
inline constexpr uint32_t kMaxVms = 256;
inline constexpr uint32_t kMaxRegisteredVcpus = 128;

enum class MessageType : uint32_t {
  // To the agent.
  kSubscribe = 1,      // -> kSource, kVm..., kSynced, then kVm / kVmGone as they happen
  kOwnTable = 2,       // -> kVm as soon as a VM of the peer's pid is known (may be awaited)
  kReportRegion = 3,   // -> kAck or kError
  kRegisterVcpus = 4,  // -> kVm or kError
  kSetBoost = 5,       // -> kAck or kError
  kBoostVcpu = 6,      // over kBoostRequestsFd alone, and never answered
  // From the agent.
  kSource = 16,  // fds: see SourceFd. Sent again when another source takes over.
  kVm = 17,      // fd: the VM's table. Sent again whenever a fact changes.
  kVmGone = 18,
  kSynced = 19,  // everything known at the time of kSubscribe has been sent
  kAck = 20,
  kError = 21,
};

enum class SourceKind : uint32_t { kUnspecified = 0, kBpf = 1, kPerf = 2, kProcfs = 3 };

struct MessageHeader {
  uint32_t version;  // kChannelVersion
  MessageType type;
};

// kSubscribe, kOwnTable, kSynced, kAck.
struct PlainMessage {
  MessageHeader header;
};

// `address`: where slot 0's header, i.e. the report page's first byte, is mapped
// in the sender's address space. 0 withdraws it.
struct ReportRegionMessage {
  MessageHeader header;
  uint64_t vm_id;
  uint64_t address;
  uint32_t slot_count;
  uint32_t reserved;
};

struct RegisterVcpusMessage {
  MessageHeader header;
  uint32_t count;
  uint32_t reserved;
  int32_t tids[kMaxRegisteredVcpus];  // index = vCPU id; 0 = that vCPU does not exist
};

struct SetBoostMessage {
  MessageHeader header;
  uint64_t vm_id;  // 0: every VM, also those to come
  uint32_t enabled;
  uint32_t reserved;
};

// A guest says that this vCPU holds a lock somebody waits for. Does nothing unless it is
// still preempted at that revision, and the VM's boosts are on and paid for.
struct BoostVcpuMessage {
  MessageHeader header;
  uint64_t vm_id;
  uint32_t vm_index;  // as in kVm
  uint32_t vcpu_id;
  uint64_t revision;  // of the vCPU's slot
};

// Descriptors that come with kSource, in this order; bits of SourceMessage.descriptors.
enum SourceFd : uint32_t {
  kHintRingFd = 1,  // BPF ring buffer of HintEvent; without it tables are to be polled under demand
  kInterestFd = 2,  // kMaxVms InterestEntry: BPF array, or a memfd. Always there
  kStatsFd = 4,     // array of lockhost_vcpu_stats (agent/table/vcpu_stats.h), of all VMs
  kHostPageFd = 8,  // HostPage (agent/table/host_page.h)
  kBoostLogFd = 16,       // agent/table/boost_log.h; not there where nothing is boosted
  kBoostRequestsFd = 32,  // SOCK_SEQPACKET, for kBoostVcpu; as above
};

struct SourceMessage {
  MessageHeader header;
  SourceKind source;
  uint32_t online_cpus;
  uint32_t descriptors;
  uint32_t reserved;
  char reason[192];  // why this source and not a better one; empty for the best
};

struct VmMessage {
  MessageHeader header;
  uint64_t vm_id;             // never reused, also not across agent restarts
  uint32_t vm_index;          // index into the interest map; reused after kVmGone
  int32_t pid;                // the VMM process
  uint64_t start_ticks;       // its start time (/proc/PID/stat field 22), against pid reuse
  uint64_t generation;        // of the table
  uint32_t vcpu_count;        // vCPUs seen so far
  uint32_t slot_count;        // slots in the table
  SourceKind source;          // who writes the table
  uint32_t reports_readable;  // 1: BPF reads this VM's report words at the switch
  uint32_t vsock_cid;         // 0: none or unknown
  uint32_t reserved;
  uint64_t memory_bytes;  // at its start; 0: unknown
  char accelerator[8];    // "kvm", "tcg" or ""
  char vmm[16];           // "qemu", "firecracker", "cloud-hypervisor", "lab", ... or ""
  char name[64];          // the VMM's name for the VM, or ""
  char uuid[40];          // or ""
};

struct VmGoneMessage {
  MessageHeader header;
  uint64_t vm_id;
  uint32_t vm_index;
  uint32_t reserved;
};

struct ErrorMessage {
  MessageHeader header;
  char text[248];
};

// One record of the hint ring: something happened that somebody waits for. The
// table is the truth; the record only says where to look.
struct HintEvent {
  uint64_t vm_id;
  uint32_t vm_index;
  uint32_t vcpu_id;
  uint64_t state_word;  // as in lockhost_hint_slot, at the time of the event
  uint64_t at_ns;       // host CLOCK_MONOTONIC
};

// One entry of the interest map (BPF_F_MMAPABLE, written by lockhostd alone): what
// lockhostd wants to be woken for. It can cause nothing but wake-ups of lockhostd.
struct InterestEntry {
  uint64_t vm_id;            // entry counts only for this VM; the index may be reused
  uint64_t demand_until_ns;  // host CLOCK_MONOTONIC; past = no wake-ups for this VM
  uint64_t awaited[16];      // bit = vCPU id; used where report words are not readable
  uint64_t reserved[14];
};

static_assert(sizeof(MessageHeader) == 8);
static_assert(sizeof(HintEvent) == 32);
static_assert(sizeof(InterestEntry) == 256);
static_assert(sizeof(VmMessage) == 200);

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_CHANNEL_PROTOCOL_H_
