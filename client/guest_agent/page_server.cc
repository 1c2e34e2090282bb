// SPDX-License-Identifier: Apache-2.0
#include "client/guest_agent/page_server.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/page/report_page.h"

namespace lockhost::guest_agent {
namespace {

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
constexpr char kHints[] = "lockhost-hints";
constexpr char kReports[] = "lockhost-reports";

std::string PathOf(const UniqueFd& fd) { return absl::StrCat("/proc/self/fd/", fd.get()); }

absl::Status Failed(std::string_view what) { return absl::ErrnoToStatus(errno, std::string(what)); }

absl::StatusOr<UniqueFd> NewPage(const char* name, size_t bytes, mode_t mode) {
  UniqueFd fd(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.valid()) return Failed(absl::StrCat("make ", name));
  if (ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0 || fchmod(fd.get(), mode) != 0 ||
      fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0) {
    return Failed(absl::StrCat("seal ", name));
  }
  return fd;
}

// What the service manager has kept of an agent before.
struct KeptPages {
  UniqueFd hints;
  UniqueFd reports;
};

KeptPages TakeKeptPages() {
  KeptPages kept;
  char** names = nullptr;
  const int count = sd_listen_fds_with_names(/*unset_environment=*/1, &names);
  for (int i = 0; i < count; ++i) {
    UniqueFd fd(SD_LISTEN_FDS_START + i);
    const int seals = fcntl(fd.get(), F_GET_SEALS);  // -1: no memory file at all
    const bool sealed = seals >= 0 && (seals & kSeals) == kSeals;
    if (sealed && strcmp(names[i], kHints) == 0) {
      kept.hints = std::move(fd);
    } else if (sealed && strcmp(names[i], kReports) == 0) {
      kept.reports = std::move(fd);
    }
    free(names[i]);
  }
  free(names);
  return kept;
}

// Without a service manager, or one that keeps nothing, there is nothing to be done about it.
void Keep(const UniqueFd& fd, const char* name) {
  const int kept = fd.get();
  sd_pid_notify_with_fds(0, /*unset_environment=*/0,
                         absl::StrCat("FDSTORE=1\nFDNAME=", name).c_str(), &kept, 1);
}

absl::StatusOr<UniqueFd> ListenAt(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is too long for a socket's path"));
  }
  path.copy(address.sun_path, path.size());
  UniqueFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return Failed("make a socket for pages");
  unlink(path.c_str());
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      chmod(path.c_str(), 0666) != 0 || listen(fd.get(), SOMAXCONN) != 0) {
    return Failed(absl::StrCat("listen at ", path));
  }
  return fd;
}

}  // namespace

absl::StatusOr<std::unique_ptr<PageServer>> PageServer::Create(std::string socket_path,
                                                               uint32_t slots) {
  KeptPages kept = TakeKeptPages();
  if (!kept.hints.valid() || !kept.reports.valid()) {
    auto hints = NewPage(kHints, LOCKHOST_HINT_PAGE_BYTES(slots), 0644);
    if (!hints.ok()) return hints.status();
    auto reports = NewPage(kReports, LOCKHOST_REPORT_PAGE_BYTES(slots), 0666);
    if (!reports.ok()) return reports.status();
    kept = {*std::move(hints), *std::move(reports)};
    Keep(kept.hints, kHints);
    Keep(kept.reports, kReports);
  }
  UniqueFd to_read(open(PathOf(kept.hints).c_str(), O_RDONLY | O_CLOEXEC));
  if (!to_read.valid()) return Failed("open the hint page for reading alone");
  return std::unique_ptr<PageServer>(new PageServer(std::move(socket_path), std::move(kept.hints),
                                                    std::move(to_read), std::move(kept.reports)));
}

PageServer::PageServer(std::string socket_path, UniqueFd hints, UniqueFd hints_to_read,
                       UniqueFd reports)
    : socket_path_(std::move(socket_path)),
      hints_(std::move(hints)),
      hints_to_read_(std::move(hints_to_read)),
      reports_(std::move(reports)) {}

PageServer::~PageServer() {
  if (!thread_.joinable()) return;
  eventfd_write(stop_.get(), 1);
  thread_.join();
  unlink(socket_path_.c_str());
}

std::string PageServer::hint_page() const { return PathOf(hints_); }
std::string PageServer::report_page() const { return PathOf(reports_); }

absl::Status PageServer::Start() {
  stop_.reset(eventfd(0, EFD_CLOEXEC));
  if (!stop_.valid()) return Failed("make an eventfd");
  absl::StatusOr<UniqueFd> listener = ListenAt(socket_path_);
  if (!listener.ok()) return listener.status();
  listener_ = *std::move(listener);
  thread_ = std::thread([this] { Serve(); });
  return absl::OkStatus();
}

void PageServer::OfferThreads(std::unique_ptr<ThreadDesk> desk, lockhost_threads_offer offer) {
  desk_ = std::move(desk);
  offer_ = offer;
}

void PageServer::Serve() {
  constexpr size_t kOwn = 2;
  for (;;) {
    std::vector<pollfd> watched = {{.fd = listener_.get(), .events = POLLIN, .revents = 0},
                                   {.fd = stop_.get(), .events = POLLIN, .revents = 0}};
    if (desk_ != nullptr) desk_->Watch(&watched);
    const int timeout_ms = desk_ != nullptr ? desk_->TimeoutMs() : -1;
    if (poll(watched.data(), watched.size(), timeout_ms) < 0 && errno != EINTR) return;
    if (watched[1].revents != 0) return;
    if (desk_ != nullptr) desk_->Work(watched.data() + kOwn, watched.size() - kOwn);
    if (watched[0].revents != 0) Accept();
  }
}

void PageServer::Accept() {
  UniqueFd peer(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (peer.valid()) {
    HandOver(peer.get());
    if (desk_ != nullptr) desk_->Take(std::move(peer));
  } else if (errno == EMFILE || errno == ENFILE) {
    // It stays acceptable: no busy loop for want of descriptors.
    pollfd stop = {.fd = stop_.get(), .events = POLLIN, .revents = 0};
    poll(&stop, 1, 100);
  }
}

// A peer that has gone, or has no room, gets nothing. An older library reads the first byte.
void PageServer::HandOver(int peer) const {
  std::array<char, 2> words = {LOCKHOST_PAGE_ABI_VERSION, static_cast<char>(offer_)};
  iovec text = {.iov_base = words.data(), .iov_len = words.size()};
  const std::array<int, 2> fds = {hints_to_read_.get(), reports_.get()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(fds))> control{};
  msghdr message = {};
  message.msg_iov = &text;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* part = CMSG_FIRSTHDR(&message);
  part->cmsg_level = SOL_SOCKET;
  part->cmsg_type = SCM_RIGHTS;
  part->cmsg_len = CMSG_LEN(sizeof(fds));
  memcpy(CMSG_DATA(part), fds.data(), sizeof(fds));
  sendmsg(peer, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace lockhost::guest_agent
