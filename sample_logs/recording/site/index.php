<?php
// A small shop to be recorded. It is vulnerable on purpose (the product's id, the download's name): never deploy it.

$db = new PDO('sqlite:/var/lib/shop/shop.db', null, null, [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
$path = strtok($_SERVER['REQUEST_URI'], '?');

function page(string $title, string $body, int $status = 200): never
{
    http_response_code($status);
    echo "<!doctype html><html lang=\"en\"><head><title>$title - Harbour Lights</title>",
        '<link rel="stylesheet" href="/static/site.css"><script src="/static/site.js" defer></script></head>',
        '<body><header><img src="/static/logo.png" alt=""><form action="/search.php"><input name="q"></form></header>',
        "<main><h1>$title</h1>$body</main></body></html>";
    exit;
}

function answer(mixed $data, int $status = 200): never
{
    http_response_code($status);
    header('Content-Type: application/json');
    echo json_encode($data);
    exit;
}

function go(string $to, int $status = 302): never
{
    header("Location: $to", true, $status);
    exit;
}

function rows(PDO $db, string $sql, array $values = []): array
{
    $statement = $db->prepare($sql);
    $statement->execute($values);
    return $statement->fetchAll(PDO::FETCH_ASSOC);
}

function cards(array $products): string
{
    $html = '';
    foreach ($products as $p) {
        $html .= "<article><img src=\"/static/products/{$p['id']}.png\"><a href=\"/product.php?id={$p['id']}\">"
            . htmlspecialchars($p['name']) . "</a> {$p['price']}</article>";
    }
    return $html ?: '<p>Nothing found.</p>';
}

$get = fn(string $name, string $default = '') => is_string($_GET[$name] ?? null) ? $_GET[$name] : $default;
$offset = 12 * (max(1, (int) $get('page', '1')) - 1);

if ($path === '/' || $path === '/index.php') {
    page('Welcome', cards(rows($db, 'SELECT * FROM products LIMIT 8')));
}
if ($path === '/products.php') {
    $order = ['price' => 'price', 'new' => 'id DESC'][$get('sort')] ?? 'name';
    $found = rows(
        $db,
        "SELECT * FROM products WHERE ? IN ('', category) ORDER BY $order LIMIT 12 OFFSET $offset",
        [$get('category')]
    );
    page('Products', cards($found));
}
if ($path === '/product.php') {
    $found = $db->query('SELECT * FROM products WHERE id = ' . $get('id', '0'))->fetchAll();  // on purpose
    $found ? page($found[0]['name'], "<p>{$found[0]['text']}</p>") : page('No such product', '', 404);
}
if ($path === '/search.php') {
    $found = rows($db, 'SELECT * FROM products WHERE name LIKE ? LIMIT 12', ["%{$get('q')}%"]);
    page('Search', '<p>' . $get('q') . '</p>' . cards($found));
}
if ($path === '/login.php') {
    if ($_SERVER['REQUEST_METHOD'] !== 'POST') {
        page('Log in', '<form method="post"><input name="user"><input name="password" type="password"></form>');
    }
    $sql = "SELECT * FROM users WHERE name = '" . ($_POST['user'] ?? '') . "' AND password = ?";  // on purpose
    $found = rows($db, $sql, [$_POST['password'] ?? '']);
    $found || page('Log in', '<p>Wrong name or password.</p>');
    session_start();
    $_SESSION['user'] = $found[0]['name'];
    go('/account.php');
}
if (in_array($path, ['/account.php', '/cart.php', '/checkout.php', '/logout.php'])) {
    session_start();
    if ($path === '/cart.php') {
        if ($_SERVER['REQUEST_METHOD'] === 'POST') {
            $_SESSION['cart'][] = (int) ($_POST['id'] ?? 0);
            go('/cart.php');
        }
        page('Your cart', '<p>' . count($_SESSION['cart'] ?? []) . ' articles</p>');
    }
    isset($_SESSION['user']) || go('/login.php');
    if ($path === '/logout.php') {
        session_destroy();
        go('/');
    }
    if ($path === '/checkout.php' && $_SERVER['REQUEST_METHOD'] === 'POST') {
        $_SESSION['cart'] = [];
        go('/account.php?order=' . random_int(1000, 1999), 303);
    }
    page('Hello ' . $_SESSION['user'], '<p>Your orders</p>');
}
if ($path === '/contact.php') {
    $_SERVER['REQUEST_METHOD'] === 'POST' && go('/contact.php?sent=1', 303);
    page('Contact', '<form method="post"><textarea name="message"></textarea></form>');
}
if ($path === '/download.php') {
    $file = '/var/www/shop/downloads/' . $get('file');  // on purpose
    is_file($file) || page('Not found', '', 404);
    header('Content-Type: application/pdf');
    readfile($file);
    exit;
}
if ($path === '/feed.xml') {
    header('Content-Type: application/rss+xml');
    header('ETag: "f1"');
    ($_SERVER['HTTP_IF_NONE_MATCH'] ?? '') === '"f1"' && (http_response_code(304) || exit);
    echo '<?xml version="1.0"?><rss version="2.0"><channel><title>Harbour Lights</title></channel></rss>';
    exit;
}
if (str_starts_with($path, '/admin/')) {
    page('Office', '<table>' . str_repeat('<tr><td>order</td></tr>', 20) . '</table>');
}
if ($path === '/health') {
    answer(['status' => 'ok']);
}
if ($path === '/api/v1/products') {
    answer(rows($db, "SELECT id, name, price FROM products LIMIT 12 OFFSET $offset"));
}
if (preg_match('#^/api/v1/products/(\d+)(/stock)?$#', $path, $m)) {
    $found = rows($db, 'SELECT * FROM products WHERE id = ?', [$m[1]]);
    $found ? answer($found[0]) : answer(['error' => 'no such product'], 404);
}
if ($path === '/api/v1/cart' || $path === '/api/v1/import') {
    answer(['accepted' => strlen(file_get_contents('php://input'))], 201);
}
if ($path === '/api/v1/orders') {
    ($_SERVER['HTTP_X_TOKEN'] ?? '') === 'not-a-secret' || answer(['error' => 'token'], 401);
    answer(['since' => $get('since'), 'orders' => range(1, 10)]);
}
page('Not found', '<p>There is no such page.</p>', 404);
