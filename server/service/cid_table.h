// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_SERVICE_CID_TABLE_H_
#define LOCKHOST_SERVER_SERVICE_CID_TABLE_H_

#include <cstdint>
#include <map>

namespace lockhost::server {

// Which VM has which vsock CID, by what the VMMs say of themselves. The kernel gives a CID to
// one VM alone, so of two that claim the same one at least one is wrong, and nobody can
// tell which. Pure; not thread-safe.
class CidTable {
 public:
  enum class Answer { kOneVm, kUnknown, kClaimedTwice };
  struct Owner {
    Answer answer;
    uint64_t vm_id = 0;  // kOneVm
  };

  // `cid` 0: none.
  void Set(uint64_t vm_id, uint32_t cid) { cids_[vm_id] = cid; }
  void Remove(uint64_t vm_id) { cids_.erase(vm_id); }

  Owner Find(uint32_t cid) const {
    Owner owner = {Answer::kUnknown};
    for (const auto& [vm_id, claimed] : cids_) {
      if (claimed != cid || cid == 0) continue;
      if (owner.answer == Answer::kOneVm) return {Answer::kClaimedTwice};
      owner = {Answer::kOneVm, vm_id};
    }
    return owner;
  }

 private:
  std::map<uint64_t, uint32_t> cids_;  // by VM
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_SERVICE_CID_TABLE_H_
