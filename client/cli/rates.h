// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_CLI_RATES_H_
#define LOCKHOST_CLIENT_CLI_RATES_H_

#include <cstdint>
#include <map>
#include <optional>

#include "lockhost/v1/host.pb.h"

namespace lockhost::cli {

// What happened between two looks, for each second between them.
struct Rates {
  double steal = 0;  // share of the time, 1 = all of it; for a VM the sum of its vCPUs
  double preemptions = 0;
  double lock_holder_preemptions = 0;
  double boosts = 0;  // of a VM alone
};

// Turns the counters of successive looks at vCPUs into rates. Not thread-safe.
class RateMeter {
 public:
  // Takes the vCPUs of one VM in at `now_ns` (any steady clock), and how many boosts it had.
  void Observe(uint64_t vm_id, uint64_t generation,
               const google::protobuf::RepeatedPtrField<v1::VcpuHint>& vcpus, uint64_t now_ns,
               uint64_t boosts = 0);
  // Forgets VMs that were not observed at `now_ns`.
  void DropOthers(uint64_t now_ns);

  // Of the last two looks. nullopt: there was only one in this generation, or a counter
  // went back (another thread runs the vCPU now).
  std::optional<Rates> OfVcpu(uint64_t vm_id, uint32_t vcpu_id) const;
  // The sum over the VM's vCPUs for which there are rates.
  std::optional<Rates> OfVm(uint64_t vm_id) const;

 private:
  struct Counters {
    uint64_t steal_ns = 0;
    uint64_t preemptions = 0;
    uint64_t lock_holder_preemptions = 0;
  };
  struct Seen {
    uint64_t generation = 0;
    uint64_t at_ns = 0;
    uint64_t boosts = 0;
    double boost_rate = 0;
    std::map<uint32_t, Counters> counters;
    std::map<uint32_t, Rates> rates;
  };

  static std::optional<Rates> Between(const Counters& then, const Counters& now,
                                      uint64_t elapsed_ns);

  std::map<uint64_t, Seen> vms_;
};

}  // namespace lockhost::cli

#endif  // LOCKHOST_CLIENT_CLI_RATES_H_
