// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/vmm/hypercalls.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <ctime>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace lockhost::lab {
namespace {

// A sleeper looks again after this long whatever happens, so that a run can end. A
// wait may return early for no reason: the guest's locks must bear it.
constexpr uint64_t kLongestWaitNs = 1'000'000'000;

constexpr size_t kMostRings = 100'000;  // that are kept; a guest may ring in a loop

uint64_t NowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

long Futex(uint32_t* word, int operation, uint32_t value, const timespec* timeout) {
  return syscall(SYS_futex, word, operation, value, timeout, nullptr, 0);
}

absl::Status BadAddress(const char* port, LabAddress address) {
  return absl::InvalidArgumentError(
      absl::StrFormat("%s: %#x is not a word of the right region", port, address));
}

std::string Printable(const char* text, size_t bytes) {
  std::string out(text, strnlen(text, bytes));
  for (char& c : out) {
    if (!absl::ascii_isprint(static_cast<unsigned char>(c))) c = '?';
  }
  return out;
}

}  // namespace

absl::StatusOr<uint64_t> Hypercalls::Handle(uint16_t port, const HypercallArgs& args) {
  switch (static_cast<Port>(port)) {
    case Port::kWait:
      return Wait(args);
    case Port::kKick:
      return Kick(args);
    case Port::kRing:
      return Ring(args);
    case Port::kPanic:
      return absl::AbortedError(
          absl::StrCat("guest panic: ", Printable(args.message, sizeof(args.message))));
    default:
      return absl::InvalidArgumentError(absl::StrFormat("port %#x does not exist", port));
  }
}

absl::StatusOr<uint64_t> Hypercalls::Wait(const HypercallArgs& args) const {
  uint32_t* word = space_.WordAt(Region::kRam, args.address);
  if (word == nullptr) return BadAddress("wait", args.address);
  const uint64_t timeout_ns = std::min(args.timeout_ns, kLongestWaitNs);
  const timespec timeout = {.tv_sec = static_cast<time_t>(timeout_ns / 1'000'000'000),
                            .tv_nsec = static_cast<long>(timeout_ns % 1'000'000'000)};
  return Futex(word, FUTEX_WAIT_PRIVATE, args.expected, &timeout) == 0 ? 1 : 0;
}

absl::StatusOr<uint64_t> Hypercalls::Kick(const HypercallArgs& args) const {
  uint32_t* word = space_.WordAt(Region::kRam, args.address);
  if (word == nullptr) return BadAddress("kick", args.address);
  return Futex(word, FUTEX_WAKE_PRIVATE, 1, nullptr) > 0 ? 1 : 0;
}

absl::StatusOr<uint64_t> Hypercalls::Ring(const HypercallArgs& args) {
  uint32_t* word = space_.WordAt(Region::kReports, args.address);
  if (word == nullptr) word = space_.WordAt(Region::kQuietReports, args.address);
  if (word == nullptr) return BadAddress("ring", args.address);
  {
    const std::lock_guard lock(mutex_);
    if (rings_.size() < kMostRings) rings_.push_back(NowNs());
  }
  Futex(word, FUTEX_WAKE, 1, nullptr);  // the guest agent is another process
  return 0;
}

std::vector<uint64_t> Hypercalls::TakeRings() {
  const std::lock_guard lock(mutex_);
  return std::exchange(rings_, {});
}

}  // namespace lockhost::lab
