package main

import "fmt"

// tea is something the shop sells.
type tea struct {
	SKU   string
	Name  string
	Note  string
	Price int // cents
}

// teas is the catalogue, in the order of the page. Each has a drawing of the
// same name in page/art.svg.
var teas = []tea{
	{"sencha", "Sencha", "Green and grassy, from Shizuoka", 890},
	{"earl-grey", "Earl Grey", "Black, with bergamot from Calabria", 720},
	{"matcha", "Matcha", "Stone-ground, for a bowl and a whisk", 1950},
	{"oolong", "Oolong", "Half way: roasted over charcoal", 1140},
	{"chai", "Masala Chai", "Assam, cardamom, star anise", 690},
	{"chamomile", "Chamomile", "Whole flowers and no caffeine", 560},
}

func teaOf(sku string) (tea, bool) {
	for _, t := range teas {
		if t.SKU == sku {
			return t, true
		}
	}
	return tea{}, false
}

// euros writes an amount of cents.
func euros(cents int) string { return fmt.Sprintf("€%d.%02d", cents/100, cents%100) }
