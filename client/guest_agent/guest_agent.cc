// SPDX-License-Identifier: Apache-2.0
#include "client/guest_agent/guest_agent.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ctime>
#include <utility>

namespace lockhost::guest_agent {
namespace {

constexpr uint64_t kNsPerSecond = 1'000'000'000;
// After a wake-up for nothing: so that an application that does nothing but wake the
// bell's futex cannot make a busy loop of it.
constexpr uint64_t kPauseAfterFalseRingNs = 1'000'000;
// Under demand each ring is a message to the host.
constexpr uint64_t kPauseAfterEarlyLookNs = 5'000'000;

// Shared futex: the word may lie in a file that other processes map. Any reason to
// return is fine: the caller looks for itself.
void WaitOn(uint32_t* word, uint32_t expected, const timespec* timeout) {
  syscall(SYS_futex, word, FUTEX_WAIT, expected, timeout, nullptr, 0);
}

void WaitOn(uint32_t* word, uint32_t expected, uint64_t timeout_ns) {
  const timespec timeout = {static_cast<time_t>(timeout_ns / kNsPerSecond),
                            static_cast<long>(timeout_ns % kNsPerSecond)};
  WaitOn(word, expected, &timeout);
}

void Bump(uint32_t* word) {
  std::atomic_ref(*word).fetch_add(1);
  syscall(SYS_futex, word, FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

}  // namespace

absl::StatusOr<std::unique_ptr<GuestAgent>> GuestAgent::Create(Options options, Clock clock,
                                                               HostLink::Observer observer) {
  absl::StatusOr<HintPageWriter> hints =
      HintPageWriter::Open(options.hint_page, options.slots, options.path);
  if (!hints.ok()) return hints.status();
  absl::StatusOr<ReportPage> reports = ReportPage::Open(options.report_page, options.slots);
  if (!reports.ok()) return reports.status();
  options.receiver.slots_elsewhere = options.path == LOCKHOST_PAGE_PATH_DIRECT_MAP;
  options.host.heartbeats_only = options.receiver.slots_elsewhere;
  return std::unique_ptr<GuestAgent>(new GuestAgent(std::move(options), clock, std::move(observer),
                                                    *std::move(hints), *std::move(reports)));
}

GuestAgent::GuestAgent(Options options, Clock clock, HostLink::Observer observer,
                       HintPageWriter hints, ReportPage reports)
    : options_(std::move(options)),
      hints_(std::move(hints)),
      reports_(std::move(reports)),
      receiver_(&hints_, &stats_, clock, options_.receiver),
      watch_(&reports_, options_.demand),
      holders_(&reports_, clock) {
  observer.on_stopped = [this, told = std::move(observer.on_stopped)](const absl::Status& why) {
    refusal_ = why;
    refused_ = true;
    if (told) told(why);
    Poke();
  };
  observer.on_message = [this](HostLink& link, const v1::WatchHintsResponse& message) {
    const v1::ReportHoldersRequest* report = holders_.AnswerTo(message);
    if (report != nullptr && link.Send(*report)) {
      stats_.holder_reports.fetch_add(1, std::memory_order_relaxed);
    }
  };
  link_ = std::make_unique<HostLink>(options_.host, &receiver_, &stats_, std::move(observer));
}

GuestAgent::~GuestAgent() {
  link_.reset();
  hints_.Void();
}

void GuestAgent::RequestStop() {
  stop_ = true;
  Poke();
}

void GuestAgent::Poke() {
  Bump(&poke_);
  // Run() may be about to sleep on the bell; bumping it is no ring, the bell stays armed.
  Bump(reports_.bell());
}

absl::Status GuestAgent::Run() {
  uint32_t poked = 0;
  while (!stopping()) {
    if (options_.path == LOCKHOST_PAGE_PATH_DIRECT_MAP) {
      WaitOn(&poke_, poked, nullptr);
    } else if (watch_.demand()) {
      SleepBetweenLooks();
    } else {
      SleepUntilRung();
    }
    if (const uint32_t now = std::atomic_ref(poke_).load(); std::exchange(poked, now) != now) {
      if (options_.on_poked) options_.on_poked();
    }
  }
  link_.reset();
  hints_.Void();
  return refused_ ? refusal_ : absl::OkStatus();
}

// A ring makes the next look come early: PreemptedHolders has armed the bell.
void GuestAgent::SleepBetweenLooks() {
  uint32_t* const bell = reports_.bell();
  const uint32_t before = std::atomic_ref(*bell).load();
  if (looked_early_) WaitOn(&poke_, std::atomic_ref(poke_).load(), kPauseAfterEarlyLookNs);
  if (stopping()) return;
  WaitOn(bell, before, watch_.limits().look_interval_ns);
  looked_early_ = std::atomic_ref(*bell).load() != before;
  if (!stopping()) Tell(watch_.Step());
}

void GuestAgent::SleepUntilRung() {
  watch_.Arm();
  if (stopping()) return;
  if (!reports_.AnyAwaited()) WaitOn(reports_.bell(), watch_.bell_value(), nullptr);
  if (stopping()) return;
  const DemandWatch::Change change = watch_.Step();
  if (change == DemandWatch::Change::kNone) {
    WaitOn(&poke_, std::atomic_ref(poke_).load(), kPauseAfterFalseRingNs);
  }
  Tell(change);
}

void GuestAgent::Tell(DemandWatch::Change change) {
  if (change == DemandWatch::Change::kNone) return;
  if (change == DemandWatch::Change::kBegan) {
    stats_.rings.fetch_add(1, std::memory_order_relaxed);
    receiver_.SetDemand(true);
  }
  request_.Clear();
  request_.set_generation(receiver_.generation());
  const bool ended = change == DemandWatch::Change::kEnded;
  request_.mutable_demand()->set_ttl_ns(ended ? 0 : watch_.limits().ttl_ns);
  for (const uint32_t vcpu_id : watch_.awaited()) {
    v1::HolderReport* holder = request_.add_holders();
    holder->set_vcpu_id(vcpu_id);
    // The mark may be old: to be run again only who is waited for now.
    if (reports_.IsAwaitedHolder(vcpu_id)) holder->set_revision(receiver_.revision(vcpu_id));
    holder->set_contended(true);
  }
  if (ended) receiver_.SetDemand(false);
  link_->Send(request_);
}

}  // namespace lockhost::guest_agent
