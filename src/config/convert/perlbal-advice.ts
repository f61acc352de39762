/**
 * What Perlbal has and stekbal has not, and what to do instead. The keys are Perlbal's own names, in lower case; each
 * text is the end of a sentence. Main thread of a command.
 */

/** A setting of a service that has no counterpart. */
interface Missing {
  readonly advice: string;
  /** Values, in lower case, that ask for what stekbal does anyway. */
  readonly harmless?: readonly string[];
}

const OFF = ['0', 'off', 'no', 'false'];
const ON = ['1', 'on', 'yes', 'true'];

const STREAMED = 'bodies stream in both directions and are never held whole: nothing is to be set';
const FILES = 'stekbal serves no files: let a web server do it, as a node of a pool';
const QUEUE = 'there is no queue: a request goes to a node at once; leave it out';
const REPROXY =
  'there is no reproxying, and X-REPROXY-* headers would reach the clients: let the backend send the content itself, or ' +
  'X-Accel-Redirect behind an nginx';
const TLS_DEFAULTS = "Node's cipher suites are used, and TLS 1.2 at least (tls.min_version)";
const CLIENT_CERTIFICATES =
  'put the CAs into one PEM file and name it as tls.client_ca_file: every client must show a certificate then';
const RETRIES = 'answers with 500 are passed on; what cannot be connected to is retried (retries, connect_timeout)';
const FORWARDED =
  'X-Forwarded-For is appended to whoever sends it: let backends trust its last element alone, or filter in front';

export const MISSING_SETTINGS: ReadonlyMap<string, Missing> = new Map<string, Missing>([
  ['always_trusted', { advice: FORWARDED, harmless: ON }],
  ['blind_proxy', { advice: FORWARDED, harmless: OFF }],
  ['trusted_upstream_proxies', { advice: FORWARDED }],
  ['buffer_backend_connect', { advice: STREAMED }],
  ['buffer_size', { advice: STREAMED }],
  ['buffer_size_reproxy_url', { advice: STREAMED }],
  ['buffer_upload_threshold_rate', { advice: STREAMED }],
  ['buffer_upload_threshold_size', { advice: STREAMED }],
  ['buffer_upload_threshold_time', { advice: STREAMED }],
  ['buffer_uploads', { advice: STREAMED, harmless: OFF }],
  ['buffer_uploads_path', { advice: STREAMED }],
  ['max_chunked_request_size', { advice: `${STREAMED}; limit uploads at the backend`, harmless: ['0'] }],
  ['client_sndbuf_size', { advice: 'the kernel sizes the buffers (sysctl net.ipv4.tcp_wmem)', harmless: ['0'] }],
  ['connect_ahead', { advice: 'connections are kept rather than made ahead (backend_persist_cache)', harmless: ['0'] }],
  [
    'max_backend_uses',
    { advice: 'a kept connection is used until the backend closes it: limit it there', harmless: ['0'] },
  ],
  ['enable_error_retries', { advice: RETRIES, harmless: OFF }],
  ['error_retry_schedule', { advice: RETRIES }],
  ['enable_reproxy', { advice: REPROXY, harmless: OFF }],
  ['reproxy_cache_maxsize', { advice: REPROXY, harmless: ['0'] }],
  ['high_priority_cookie', { advice: QUEUE }],
  ['high_priority_cookie_contents', { advice: QUEUE }],
  ['queue_relief_chance', { advice: QUEUE, harmless: ['0'] }],
  ['queue_relief_size', { advice: QUEUE, harmless: ['0'] }],
  ['latency', { advice: 'no request is delayed on purpose; leave it out', harmless: ['0'] }],
  [
    'server_process',
    { advice: 'stekbal starts no backend: run it as a service of its own, and name its address in a pool' },
  ],
  ['server_tokens', { advice: "no Server header is added, and the backend's own is passed on", harmless: OFF }],
  ['upload_status_listeners', { advice: 'nothing reports how far an upload is; let the backend do it' }],
  [
    'send_backend_port',
    { advice: 'no X-Forwarded-Port is sent: X-Forwarded-Host has the port, where the client sent one', harmless: OFF },
  ],
  ['ssl_cipher_list', { advice: TLS_DEFAULTS }],
  ['ssl_honor_cipher_order', { advice: TLS_DEFAULTS }],
  ['ssl_ca_path', { advice: CLIENT_CERTIFICATES }],
  ['ssl_verify_mode', { advice: CLIENT_CERTIFICATES, harmless: ['0'] }],
  ['docroot', { advice: FILES }],
  ['dirindexing', { advice: FILES }],
  ['index_files', { advice: FILES }],
  ['enable_concatenate_get', { advice: FILES }],
  ['enable_put', { advice: FILES }],
  ['enable_md5', { advice: FILES }],
  ['enable_delete', { advice: FILES }],
  ['max_put_size', { advice: FILES }],
  ['min_put_directory', { advice: FILES }],
]);

/** Roles of services. */
export const MISSING_ROLES: ReadonlyMap<string, string> = new Map([
  ['web_server', FILES],
  ['upload_tracker', 'nothing reports how far an upload is; let the backend do it'],
]);

/** Commands besides those that are read. */
export const MISSING_COMMANDS: ReadonlyMap<string, string> = new Map([
  ['header', 'headers are passed on as they are: set or remove them at the backend'],
  ['access', 'there are no access rules: use the firewall (nftables), or TLS client certificates (tls.client_ca_file)'],
  ['throttle', 'nothing limits the rate of requests: do it at the backend or in the firewall'],
  ['redirect', 'nothing redirects: let a backend answer for that host'],
  ['patterns', QUEUE],
  ['mime', FILES],
  ['perlrequire', 'no Perl runs here: make it a backend'],
  ['perlhandler', 'no Perl runs here: make it a backend'],
  ['xs', 'leave it out: it chose a faster parser'],
  ['aio', FILES],
  ['shutdown', 'stop the program by SIGTERM: it drains, and ends'],
  ['unload', 'leave out what is not wanted'],
  ['reload', 'reload by stekbal reload, or by SIGHUP'],
]);

/** What SERVER sets. */
export const MISSING_SERVER_KEYS: ReadonlyMap<string, string> = new Map([
  ['max_connections', 'it is LimitNOFILE in the systemd unit; each client takes two file descriptors'],
  ['nice_level', 'it is Nice in the systemd unit'],
  ['pidfile', 'systemd knows the process; leave it out'],
  ['aio_mode', FILES],
  ['aio_threads', FILES],
  ['max_reproxy_connections', REPROXY],
  ['track_obj', 'leave it out: it was for debugging'],
  ['crash_backtrace', 'errors are logged with their stack anyway'],
]);

/** Plugins that are read: what they do stands in settings and commands of their own. */
export const READ_PLUGINS: readonly string[] = ['sessionaffinity', 'vhosts', 'vpaths', 'include', 'xffextras'];

export const MISSING_PLUGINS: ReadonlyMap<string, string> = new Map([
  ['stickysessions', 'use affinity: yes, whose cookie is another: clients are placed anew once'],
  ['stats', 'GET /metrics of the admin API has the numbers'],
  ['queues', 'GET /metrics of the admin API has the numbers'],
  ['highpri', QUEUE],
  ['accesscontrol', 'use the firewall (nftables), or TLS client certificates (tls.client_ca_file)'],
  ['throttle', 'limit the rate of requests at the backend or in the firewall'],
  ['redirect', 'let a backend answer for that host'],
  ['maxcontentlength', 'limit uploads at the backend'],
  ['notmodified', 'let the backend answer with 304'],
  ['autoremoveleadingdir', 'paths are passed on as they are: change them at the backend'],
  ['lazycdn', FILES],
  ['palimg', FILES],
  ['flvstreaming', FILES],
  ['cgilike', 'no Perl runs here: make it a backend'],
  ['echoservice', 'no Perl runs here: make it a backend'],
]);
