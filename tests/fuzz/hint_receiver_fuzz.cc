// SPDX-License-Identifier: Apache-2.0
//
// A hostile host against the guest agent, over a page that somebody may have left there.
// Input: the size of that page (2 bytes), its bytes; then steps, of a kind (1 byte) and an
// argument: a message of the host (2 bytes of size, the message as it comes over the
// wire), loss of the stream, a change of demand, time that passes.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "client/guest_agent/hint_receiver.h"
#include "client/page/hint_reader.h"
#include "common/unique_fd.h"
#include "tests/fuzz/byte_reader.h"
#include "tests/fuzz/fuzz_check.h"

namespace lockhost::guest_agent {
namespace {

constexpr uint32_t kSlots = 16;
constexpr HintReceiver::Options kOptions;

uint64_t now_ns = 0;

// The page's file, and its memory as an application sees it.
class PageFile {
 public:
  explicit PageFile(std::string_view left_over) : fd_(memfd_create("hints", MFD_CLOEXEC)) {
    FUZZ_CHECK(fd_.valid());
    FUZZ_CHECK(write(fd_.get(), left_over.data(), left_over.size()) ==
               static_cast<ssize_t>(left_over.size()));
  }
  ~PageFile() {
    if (memory_ != MAP_FAILED) munmap(memory_, bytes_);
  }
  PageFile(const PageFile&) = delete;
  PageFile& operator=(const PageFile&) = delete;

  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_.get()); }

  void Map() {
    struct stat status {};
    FUZZ_CHECK(fstat(fd_.get(), &status) == 0);
    bytes_ = static_cast<size_t>(status.st_size);
    memory_ = mmap(nullptr, bytes_, PROT_READ, MAP_SHARED, fd_.get(), 0);
    FUZZ_CHECK(memory_ != MAP_FAILED);
  }
  const lockhost_hint_header* page() const {
    return static_cast<const lockhost_hint_header*>(memory_);
  }
  size_t bytes() const { return bytes_; }
  std::string Copy() const { return {static_cast<const char*>(memory_), bytes_}; }

 private:
  UniqueFd fd_;
  void* memory_ = MAP_FAILED;
  size_t bytes_ = 0;
};

class Session {
 public:
  Session(PageFile& file, HintPageWriter& writer)
      : file_(file),
        writer_(writer),
        receiver_(&writer, &stats_, Clock{[] { return now_ns; }}, kOptions) {}

  void Step(ByteReader& input) {
    switch (input.Take<uint8_t>() % 4) {
      case 0:
        Message(input.TakeBytes(input.Take<uint16_t>()));
        break;
      case 1:
        receiver_.StreamLost();
        FUZZ_CHECK(file_.page()->valid_until_ns == 0 && receiver_.generation() == 0);
        break;
      case 2:
        demand_ = input.Take<uint8_t>() % 2 != 0;
        receiver_.SetDemand(demand_);
        break;
      case 3:
        now_ns += input.Take<uint32_t>();
        break;
    }
    CheckPage();
  }

  void CheckPage() const {
    const uint32_t slots = lockhost_check_hint_page(file_.page(), file_.bytes());
    FUZZ_CHECK(slots == writer_.slot_count());
    FUZZ_CHECK(file_.page()->mode <= LOCKHOST_MODE_OVERCOMMITTED);
    FUZZ_CHECK(file_.page()->valid_until_ns <= now_ns + kOptions.longest_lease_ns);
    const lockhost_pages pages = {file_.page(), file_.page(), nullptr, slots, 0};
    for (uint32_t vcpu = 0; vcpu < slots; ++vcpu) {
      const lockhost_hint_slot& slot = *lockhost_hint_slot_at(file_.page(), vcpu);
      const uint32_t state = lockhost_state_of(slot.state_word);
      FUZZ_CHECK(state <= LOCKHOST_RUN_STATE_EXITED);
      FUZZ_CHECK(demand_ || slot.state_word == 0);
      const uint32_t hint = lockhost_read_hint(&pages, vcpu, now_ns);
      const bool counts = file_.page()->valid_until_ns > now_ns &&
                          (state == LOCKHOST_RUN_STATE_RUNNING || !Outlived(slot));
      FUZZ_CHECK(hint == (counts ? state : 0));
    }
  }

 private:
  // Of a host that only looks at its vCPUs: two looks ago.
  bool Outlived(const lockhost_hint_slot& slot) const {
    const uint64_t look_ns = file_.page()->sampled_every_ns;
    return look_ns != 0 && now_ns - slot.since_ns > 2 * look_ns;
  }

  void Message(std::string_view wire) {
    v1::WatchHintsResponse message;
    if (!message.ParseFromArray(wire.data(), static_cast<int>(wire.size()))) return;
    const std::string before = file_.Copy();
    const uint64_t bad_before = stats_.bad_messages;
    if (receiver_.Apply(message).ok()) {
      CheckApplied(message);
      return;
    }
    FUZZ_CHECK(stats_.bad_messages == bad_before + 1);
    // Void, and otherwise as it was: no part of a bad message has been applied.
    std::string expected = before;
    std::memset(&expected[offsetof(lockhost_hint_header, valid_until_ns)], 0, sizeof(uint64_t));
    FUZZ_CHECK(file_.Copy() == expected);
  }

  void CheckApplied(const v1::WatchHintsResponse& message) const {
    FUZZ_CHECK(file_.page()->valid_until_ns > now_ns);
    const auto& vcpus =
        message.has_snapshot() ? message.snapshot().vcpus() : message.delta().vcpus();
    if (message.has_snapshot()) {
      FUZZ_CHECK(receiver_.generation() == message.snapshot().generation());
    }
    FUZZ_CHECK(receiver_.generation() != 0);
    FUZZ_CHECK(file_.page()->generation == receiver_.generation());
    std::map<uint32_t, const v1::VcpuHint*> last;
    for (const v1::VcpuHint& vcpu : vcpus) last[vcpu.vcpu_id()] = &vcpu;
    for (const auto& [vcpu_id, vcpu] : last) {
      if (vcpu_id >= writer_.slot_count()) continue;
      FUZZ_CHECK(receiver_.revision(vcpu_id) == vcpu->revision());
      if (!demand_) continue;
      const lockhost_hint_slot& slot = *lockhost_hint_slot_at(file_.page(), vcpu_id);
      FUZZ_CHECK(lockhost_state_of(slot.state_word) == static_cast<uint32_t>(vcpu->run_state()));
      FUZZ_CHECK(lockhost_revision_of(slot.state_word) == vcpu->revision());
      FUZZ_CHECK(slot.witness == vcpu->report_word());
    }
  }

  PageFile& file_;
  HintPageWriter& writer_;
  Stats stats_;
  HintReceiver receiver_;
  bool demand_ = false;
};

void Run(ByteReader input) {
  now_ns = 1'000;
  const std::string_view left_over = input.TakeBytes(input.Take<uint16_t>());
  PageFile file(left_over);
  auto writer = HintPageWriter::Open(file.path(), kSlots, LOCKHOST_PAGE_PATH_GRPC);
  if (!writer.ok()) {
    FUZZ_CHECK(!left_over.empty() && left_over.size() < LOCKHOST_HINT_PAGE_BYTES(1));
    return;
  }
  file.Map();
  Session session(file, *writer);
  session.CheckPage();
  while (!input.empty()) session.Step(input);
}

}  // namespace
}  // namespace lockhost::guest_agent

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lockhost::guest_agent::Run(lockhost::ByteReader(data, size));
  return 0;
}
