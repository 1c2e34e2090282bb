// SPDX-License-Identifier: Apache-2.0
extern "C" {
#include <ck_spinlock.h>
}

#include "tests/bench/locks/spinning_peers.h"
#include "tests/bench/locks/subject.h"
#include "tests/bench/locks/workloads.h"

namespace lockhost::bench {
namespace {

class CkFas {
 public:
  using Node = NoNode;
  void Lock(Node&) { ck_spinlock_fas_lock(&lock_); }
  void Unlock(Node&) { ck_spinlock_fas_unlock(&lock_); }

 private:
  ck_spinlock_fas_t lock_ = CK_SPINLOCK_FAS_INITIALIZER;
};

class CkTicket {
 public:
  using Node = NoNode;
  void Lock(Node&) { ck_spinlock_ticket_lock(&lock_); }
  void Unlock(Node&) { ck_spinlock_ticket_unlock(&lock_); }

 private:
  ck_spinlock_ticket_t lock_ = CK_SPINLOCK_TICKET_INITIALIZER;
};

class CkMcs {
 public:
  using Node = ck_spinlock_mcs_context_t;
  void Lock(Node& node) { ck_spinlock_mcs_lock(&queue_, &node); }
  void Unlock(Node& node) { ck_spinlock_mcs_unlock(&queue_, &node); }

 private:
  ck_spinlock_mcs_t queue_ = CK_SPINLOCK_MCS_INITIALIZER;
};

}  // namespace

void AddCkSubjects(std::vector<Subject>* subjects) {
  subjects->push_back({.name = "ck_spinlock_fas", .run = RunCell<CkFas>});
  subjects->push_back({.name = "ck_spinlock_ticket", .run = RunCell<CkTicket>});
  subjects->push_back({.name = "ck_spinlock_mcs", .run = RunCell<CkMcs>});
}

}  // namespace lockhost::bench
