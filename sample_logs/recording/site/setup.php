<?php
// Fill the shop's database and draw its files: php setup.php FOLDER

$folder = $argv[1];
$db = new PDO('sqlite:/var/lib/shop/shop.db');
$db->exec('CREATE TABLE products (id INTEGER PRIMARY KEY, name, category, price, text);
    CREATE TABLE users (id INTEGER PRIMARY KEY, name, password)');
mt_srand(7);
$db->beginTransaction();
foreach (range(1, 60) as $id) {
    $category = ['lamps', 'desks', 'chairs', 'rugs', 'shelves'][$id % 5];
    $name = ['Oak', 'Brass', 'Linen', 'Walnut', 'Harbour', 'Nordic'][$id % 6] . " $category $id";
    $db->prepare('INSERT INTO products VALUES (?, ?, ?, ?, ?)')
        ->execute([$id, $name, $category, mt_rand(9, 400), str_repeat("A fine piece, number $id. ", mt_rand(3, 40))]);
}
foreach (range(1, 40) as $id) {
    $db->prepare('INSERT INTO users VALUES (?, ?, ?)')->execute([$id, "customer$id", "fake-password-$id"]);
}
$db->commit();
@mkdir("$folder/static/products", 0755, true);
@mkdir("$folder/downloads", 0755, true);
$bytes = fn(int $n) => implode('', array_map(fn() => chr(mt_rand(0, 255)), range(1, $n)));
foreach (range(1, 60) as $id) {
    file_put_contents("$folder/static/products/$id.png", "\x89PNG\r\n\x1a\n" . $bytes(mt_rand(2000, 9000)));
}
file_put_contents("$folder/static/logo.png", "\x89PNG\r\n\x1a\n" . $bytes(3100));
foreach (['catalogue' => 60000, 'terms' => 12000, 'care-guide' => 25000] as $name => $size) {
    file_put_contents("$folder/downloads/$name.pdf", "%PDF-1.4\n" . $bytes($size));
}
